// Package proxy passes the requests that a guard admits on to another program, the upstream: a login in front of a service that
// knows nothing of tokens.
//
// A request goes through ServeHTTP (id, log line, CORS), the guard (its operation, its token, its body), and forward, which hands it
// to httputil.ReverseProxy. rewrite makes the request that the upstream gets: headers that could name the caller, or change the
// method or the path after the guard has seen them, are removed and set from the token. The upstream must be reachable through the
// proxy alone, because it believes these headers.
package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/google/uuid"

	"sesame/server/guard"
)

// Options configure a Proxy. Guard, Upstream, PublicURL, ClientIP, Log and Measure are required.
type Options struct {
	Guard    *guard.Guard // with Proxied
	Upstream *Upstream
	// PublicURL is where clients reach the service. Its scheme and host are X-Forwarded-Proto and X-Forwarded-Host, whatever Host
	// the request has.
	PublicURL string
	ClientIP  func(*http.Request) string // becomes X-Forwarded-For
	// ForwardToken lets the upstream have the Authorization header, with which it could call other services as the caller.
	ForwardToken bool
	AllowUpgrade bool     // to WebSocket
	Remove       []string // further request headers that the upstream never gets
	MaxBody      int64    // of a request, in bytes; 0 is no limit
	CORSOrigins  []string // whose pages may call the service
	// AnswerTime is how long the upstream may take until its response begins, and Longest how long a request may take in all,
	// streams and upgraded connections included.
	AnswerTime, Longest time.Duration
	Log                 *slog.Logger
	// Measure counts a request and how long it took, for metrics.
	Measure func(method, operation string, status int, took time.Duration)
}

// Proxy is an http.Handler.
type Proxy struct {
	Options
	public    *url.URL
	removed   map[string]bool // see isRemoved
	guarded   http.Handler
	reverse   *httputil.ReverseProxy
	transport *http.Transport
}

// New makes a Proxy. Close it when no request is in flight.
func New(o Options) (*Proxy, error) {
	public, err := url.Parse(o.PublicURL)
	if err != nil {
		return nil, err
	}
	p := &Proxy{Options: o, public: public, removed: map[string]bool{}}
	for _, name := range o.Remove {
		p.removed[spelling(name)] = true
	}
	p.transport = &http.Transport{
		DialContext:         o.Upstream.dial,
		TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: o.AnswerTime, ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: 90 * time.Second,
		DisableCompression: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		// The variable HTTP_PROXY is not read: requests with the headers of the caller go to the upstream alone.
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: p.rewrite, Transport: p.transport, ModifyResponse: p.modify, ErrorHandler: p.failed,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	p.guarded = o.Guard.Handler(http.HandlerFunc(p.forward))
	return p, nil
}

// Close closes idle connections to the upstream.
func (p *Proxy) Close() { p.transport.CloseIdleConnections() }

// exchange is what the log says of a request. It is in the context of the request.
type exchange struct {
	id, operation string
	caller        *guard.Caller
	noStore       bool // unless the upstream decides otherwise
	json          bool // the body is JSON that was validated
	upgraded      bool
	origin        string
	err           error
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	x := &exchange{id: requestID()}
	answer := &answer{ResponseWriter: w, controller: http.NewResponseController(w)}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), exchangeKey{}, x), p.Longest)
	defer cancel()
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		body := &patientBody{ReadCloser: r.Body, controller: answer.controller, end: start.Add(p.Longest)}
		body.limit()
		r.Body = body
	}
	w.Header().Set(headerRequestID, x.id)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	defer func() { p.logged(r, x, answer.status, time.Since(start)) }() // even if the connection is aborted
	answer.unlimit()                                                    // from the end of the request before
	defer answer.limit()                                                // for what net/http writes at the end
	if p.cors(answer, r, x) {
		return
	}
	p.guarded.ServeHTTP(answer, r)
}

// forward passes on a request that the guard has admitted.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r.Context())
	x.operation, x.caller = guard.OperationFrom(r.Context()), guard.CallerFrom(r.Context())
	_, x.json = r.Body.(interface{ ValidatedValue() any })
	x.noStore = w.Header().Get("Cache-Control") != "" // the guard has set it
	if p.MaxBody > 0 && r.Body != nil {
		if r.ContentLength > p.MaxBody {
			p.failed(w, r, &http.MaxBytesError{Limit: p.MaxBody})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, p.MaxBody)
	}
	clear(w.Header()) // modify sets them again, beside those of the upstream
	p.reverse.ServeHTTP(w, r)
}

// logged writes the log line of a request: no path, no query and no header, since they may hold secrets.
func (p *Proxy) logged(r *http.Request, x *exchange, status int, took time.Duration) {
	if x.upgraded {
		status = http.StatusSwitchingProtocols
	}
	p.Measure(r.Method, x.operation, status, took)
	attrs := []any{
		"request_id", x.id, "method", r.Method[:min(len(r.Method), 10)], "operation", x.operation, "status", status,
		"took_us", took.Microseconds(), "ip", p.ClientIP(r),
	}
	if x.caller != nil {
		attrs = append(attrs, "subject", x.caller.Subject, "client_id", x.caller.ClientID)
	}
	level := slog.LevelInfo
	if x.err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, "error", x.err)
	}
	p.Log.Log(context.WithoutCancel(r.Context()), level, "request", attrs...)
}

// requestID is an id that the client cannot choose: it could be that of another request.
func requestID() string {
	id, err := uuid.NewV7()
	if err != nil { // the system's random source failed; the id need not be secret
		return "t" + time.Now().Format("150405.000000000")
	}
	return id.String()
}

const (
	dialTime        = 10 * time.Second
	idleConnections = 256
)

// Upstream is the address of the program behind the proxy.
type Upstream struct {
	url    *url.URL
	socket string // path of a Unix socket, or ""
}

// dial connects to the upstream.
func (u *Upstream) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if u.socket != "" {
		network, address = "unix", u.socket
	}
	return (&net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}).DialContext(ctx, network, address)
}
