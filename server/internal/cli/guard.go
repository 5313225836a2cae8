package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"sesame/server/guard"
	"sesame/server/internal/app"
	"sesame/server/internal/config"
	"sesame/server/internal/httpapi"
	"sesame/server/internal/proxy"
	"sesame/server/internal/telemetry"
)

type guardCommand struct {
	Spec         string        `placeholder:"FILE" xor:"document" help:"OpenAPI document of the service: 3.0, 3.1 or Swagger 2.0, in YAML or JSON, in one file. Anything else than its operations gets 404."`
	MCP          bool          `name:"mcp" xor:"document" help:"The service is a server of the Model Context Protocol at the path of --resource, and has no document."`
	Scope        []string      `placeholder:"SCOPE" help:"With --mcp: a scope that access tokens must have; may be repeated."`
	Upstream     string        `placeholder:"URL" help:"Address of the service: http://HOST:PORT or https://HOST:PORT, with a path that is put in front of every path, or unix:PATH. Nothing but the guard may reach it, because it believes the X-Auth-Request headers."`
	Issuer       string        `placeholder:"URL" help:"The login server's public URL, such as https://login.example.com."`
	Resource     string        `placeholder:"URL" help:"URL of the service, and the audience of its access tokens: one of the login server's SESAME_AUDIENCES. The guard then serves the metadata by which clients find the login server (RFC 9728). (default: none; the audience is --audience, or else the issuer)"`
	ClientID     string        `name:"client-id" placeholder:"ID" help:"A service client of the login server, with which the guard looks up personal access tokens. (default: none; it refuses them)"`
	SecretFile   string        `name:"client-secret-file" placeholder:"FILE" help:"File with the secret of that client, which only its owner and its group can read."`
	BasePath     string        `placeholder:"PATH" help:"Prefix of the document's paths. (default: the path of the document's first server)"`
	Validate     bool          `default:"true" negatable:"" help:"Refuse requests whose parameters or body do not fit the document. A body of JSON or a form may then have at most 64 KiB."`
	MaxBody      int64         `default:"32" placeholder:"MIB" help:"Largest request body in MiB; 0 is no limit."`
	ForwardToken bool          `help:"Pass the access token on to the service, which could then call other services as the caller. By default it gets X-Auth-Request-User, -Client and -Scope alone."`
	RemoveHeader []string      `placeholder:"NAME" help:"A request header that the service must never get from clients; may be repeated. Headers that usually name the caller, its address, or another method or path are removed in any case."`
	AllowUpgrade bool          `help:"Let requests become WebSocket connections. The token is checked only when they begin."`
	AnswerTime   time.Duration `default:"1m" placeholder:"TIME" help:"How long the service may take until its response begins; then the answer is 504."`
	Longest      time.Duration `default:"1h" placeholder:"TIME" help:"How long a request may take in all, streams and WebSocket connections included, whose token may have expired by then."`
	HealthListen string        `placeholder:"HOST:PORT" help:"Address of a listener of its own for /healthz, and for /readyz, which is 200 once the guard has the login server's keys. (default: none)"`
}

// Run passes requests on until the program is interrupted.
func (c *guardCommand) Run(p *program) error {
	if p.ACME == "on" || p.RedirectListen != "" {
		return fmt.Errorf("the guard gets no certificate and redirects nothing; unset %s and %s", config.Variable("acme"), config.Variable("redirect-listen"))
	}
	if c.Upstream == "" || c.Issuer == "" {
		return usagef("guard needs --upstream, the address of the service, and --issuer, the URL of the login server\n" +
			"example: sesame guard --spec openapi.yaml --upstream http://127.0.0.1:9000 --issuer https://login.example.com")
	}
	upstream, err := proxy.ParseUpstream(c.Upstream)
	if err != nil {
		return usagef("--upstream is %q; it %w", c.Upstream, err)
	}
	if c.AnswerTime <= 0 || c.Longest <= 0 || c.MaxBody < 0 || c.MaxBody > 1<<20 {
		return usagef("--answer-time and --longest must be durations such as 1m, and --max-body a number of MiB from 0 to %d", 1<<20)
	}
	document, err := c.document()
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	log := app.NewLog(*p.Settings, p.Stderr)
	defer log.Close()
	p.Audience = cmp.Or(c.Resource, p.Audience, c.Issuer)
	g, err := guard.New(p.ctx, guard.Options{
		OpenAPI: document, Issuer: c.Issuer, Audience: p.Audience, BasePath: c.BasePath,
		ValidateRequests: c.Validate && !c.MCP, Metadata: c.Resource != "", Proxied: true, Introspect: client, StartTimeout: -1, Log: log.Logger, Now: p.Now,
	})
	if err != nil {
		return usageError{err}
	}
	defer g.Close()
	return c.serve(p, g, upstream, log.Logger)
}

// client is the service client that looks up personal access tokens; nil for none.
func (c *guardCommand) client() (*guard.ServiceClient, error) {
	if (c.ClientID == "") != (c.SecretFile == "") {
		return nil, usagef("--client-id and --client-secret-file belong together; give both, or neither")
	}
	if c.ClientID == "" {
		return nil, nil //nolint:nilnil // no client is what the flags ask for
	}
	text, err := secretOf(c.SecretFile)
	return &guard.ServiceClient{ID: c.ClientID, Secret: text}, err
}

// document reads or makes the OpenAPI document.
func (c *guardCommand) document() ([]byte, error) {
	switch {
	case c.MCP && c.Resource == "":
		return nil, usagef("--mcp needs --resource, the URL of the MCP server, such as https://mcp.example.com/mcp")
	case c.MCP:
		text, err := proxy.MCPDocument(c.Resource, c.Issuer, c.Scope)
		if err != nil {
			return nil, usagef("--resource %w", err)
		}
		return text, nil
	case len(c.Scope) > 0:
		return nil, usagef("--scope belongs to --mcp; an OpenAPI document names the scopes of each operation")
	case c.Spec == "":
		return nil, usagef("guard needs --spec FILE, the OpenAPI document of the service, or --mcp for a server of the Model Context Protocol")
	}
	text, err := os.ReadFile(c.Spec)
	if err != nil {
		return nil, unreadable("--spec", c.Spec, err)
	}
	return text, nil
}

// serve answers at the listener, and at that for health checks.
func (c *guardCommand) serve(p *program, g *guard.Guard, upstream *proxy.Upstream, log *slog.Logger) error {
	listener, err := app.Listen(p.ctx, *p.Settings, log)
	if err != nil {
		return err
	}
	defer listener.Close()
	_, socket := p.Socket()
	*p.Settings = p.InForce(listener.Addr().String())
	measure, stopMetrics, err := app.ServeGuardMetrics(p.ctx, *p.Settings, g.Operations(), log)
	if err != nil {
		return err
	}
	defer stopMetrics()
	handler, err := proxy.New(proxy.Options{
		Guard: g, Upstream: upstream, PublicURL: cmp.Or(c.Resource, p.PublicURL), ClientIP: httpapi.ClientAddress(p.Proxies(), socket, log),
		ForwardToken: c.ForwardToken, AllowUpgrade: c.AllowUpgrade, Remove: c.RemoveHeader, MaxBody: c.MaxBody << 20,
		CORSOrigins: p.CorsOrigins.Items(), AnswerTime: c.AnswerTime, Longest: c.Longest, Log: log, Measure: measure,
	})
	if err != nil {
		return err
	}
	defer handler.Close()
	stopping, stopHealth, health, err := c.serveHealth(p.ctx, g, log)
	if err != nil {
		return err
	}
	defer stopHealth()
	c.introduce(p, listener.Addr(), health)
	drain := p.DrainTime.Duration
	if p.Loopback() {
		drain = 0
	}
	return app.ServeStreams(p.ctx, listener, handler, log, stopping, drain, c.Longest)
}

// serveHealth serves /healthz and /readyz at a listener of their own, so that they are not paths of the service. stopping makes the
// guard not ready.
func (c *guardCommand) serveHealth(ctx context.Context, g *guard.Guard, log *slog.Logger) (stopping, stop func(), at net.Addr, err error) {
	if c.HealthListen == "" {
		return func() {}, func() {}, nil, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.HealthListen)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("cannot listen on %s, which --health-listen names; choose another address: %w", c.HealthListen, err)
	}
	health := &proxy.Health{Ready: g.Ready}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		telemetry.Serve(ctx, listener, health, log)
	}()
	return health.Stop, func() { cancel(); <-done }, listener.Addr(), nil
}

// introduce prints where the guard listens.
func (c *guardCommand) introduce(p *program, listening, health net.Addr) {
	fmt.Fprintf(p.Stdout, "\nThe guard of %s is ready.\n\n", c.Upstream)
	if listening.Network() == "unix" {
		fmt.Fprintf(p.Stdout, "  Socket     %s\n", listening)
	} else {
		fmt.Fprintf(p.Stdout, "  Address    %s://%s\n", p.Scheme(), listening)
	}
	fmt.Fprintf(p.Stdout, "  Tokens     from %s, for %s\n", c.Issuer, p.Audience)
	if health != nil {
		fmt.Fprintf(p.Stdout, "  Health     http://%s/readyz\n", health)
	}
	fmt.Fprintf(p.Stdout, "  Stop       Ctrl-C\n\n")
}
