package proxy

import (
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
)

const headerRequestID = "X-Request-Id"

// The headers that name the caller to the upstream. The first is the subject of the token: the id of a person or, equal to the
// second, of a client that acts for itself.
const (
	headerUser   = "X-Auth-Request-User"
	headerClient = "X-Auth-Request-Client"
	headerScope  = "X-Auth-Request-Scope"
	// headerKind is "personal_access_token" for such a token, which belongs to no client, and missing for another one.
	headerKind = "X-Auth-Request-Token-Kind"
)

// ParseUpstream parses http://HOST:PORT, https://HOST:PORT, either with a path in front of all paths, or unix:PATH.
func ParseUpstream(text string) (*Upstream, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return nil, errors.New("must have the path of a socket after unix:, such as unix:/run/notes/socket")
		}
		return &Upstream{url: &url.URL{Scheme: "http", Host: "localhost"}, socket: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || strings.Contains(text, "?") {
		return nil, errors.New("must be a URL such as http://127.0.0.1:9000, without a query, or unix:PATH")
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
	return &Upstream{url: u}, nil
}

// rewrite makes the request for the upstream. The guard has given the path its one spelling, and it is sent in just that one.
// httputil has already removed the headers of the connection, so that Connection: X-Auth-Request-User removes none of those set here.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out, base := pr.In, pr.Out, p.Upstream.url
	out.URL.Scheme, out.URL.Host, out.Host = base.Scheme, base.Host, base.Host
	out.URL.Path = base.Path + in.URL.Path
	if out.URL.RawPath = ""; base.RawPath != "" {
		out.URL.RawPath = base.RawPath + in.URL.EscapedPath()
	}
	x := exchangeOf(in.Context())
	// A service that does not read a body takes it for the next request of the connection. JSON cannot be one.
	body := out.Body != nil && !x.json
	out.Close = body
	upgrade := out.Header.Get("Upgrade")
	if !p.AllowUpgrade || body || !strings.EqualFold(upgrade, "websocket") { // h2c would carry requests past the guard
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	for name := range out.Header {
		if p.isRemoved(name) {
			delete(out.Header, name)
		}
	}
	out.Trailer = nil // some programs take trailers for headers
	set := out.Header.Set
	set("X-Forwarded-For", p.ClientIP(in))
	set("X-Forwarded-Proto", p.public.Scheme)
	set("X-Forwarded-Host", p.public.Host)
	set(headerRequestID, x.id)
	if x.caller != nil {
		set(headerUser, x.caller.Subject)
		if x.caller.Personal {
			set(headerKind, "personal_access_token")
		}
		if x.caller.ClientID != "" { // a personal access token belongs to no client
			set(headerClient, x.caller.ClientID)
		}
		set(headerScope, strings.Join(x.caller.Scopes, " "))
	}
}

// trustedHeaders are headers that programs believe because a proxy sets them, in the form of spelling: who calls, from where, and
// what the request really is. The last kind would change the operation behind the guard's back.
var trustedHeaders = map[string]bool{
	"forwarded": true, "x-request-id": true, "x-real-ip": true, "x-client-ip": true, "client-ip": true, "true-client-ip": true,
	"cf-connecting-ip": true, "fastly-client-ip": true, "x-cluster-client-ip": true, "x-forwarded": true,

	"x-user": true, "x-user-id": true, "x-username": true, "client-cert": true, "client-cert-chain": true, "x-client-cert": true,
	"x-client-verify": true, "x-client-dn": true,

	"x-original-url": true, "x-original-uri": true, "x-original-path": true, "x-original-method": true, "x-original-host": true,
	"x-rewrite-url": true, "x-rewrite-uri": true, "x-host": true, "x-http-method-override": true, "x-http-method": true, "x-method-override": true,
	// gunicorn takes the beginning of the path away that SCRIPT_NAME names, if the header comes from this machine.
	"script-name": true, "path-info": true, "x-script-name": true, "x-path-info": true,
	"proxy": true, // becomes HTTP_PROXY in CGI

	"connection": true, "transfer-encoding": true, "content-length": true, "upgrade": true, "host": true,
}

// trustedFamilies are the beginnings of the names of further such headers: of oauth2-proxy, Authelia, Grafana, Kong, Envoy, and of
// programs that verify the certificate of a client.
var trustedFamilies = []string{
	"x-auth-request-", "x-forwarded-", "remote-", "x-remote-", "x-webauth-", "x-authenticated-", "x-consumer-", "x-envoy-", "x-ssl-client-", "ssl-client-",
}

// isRemoved reports whether the upstream must not get a header of the client. Programs that see headers as variables (CGI, WSGI,
// PHP) read X_Forwarded_For like X-Forwarded-For.
func (p *Proxy) isRemoved(name string) bool {
	plain := spelling(name)
	switch {
	case plain == "authorization":
		return !p.ForwardToken || name != "Authorization"
	case name == "Connection" || name == "Upgrade": // of an upgrade that rewrite allows
		return false
	}
	return trustedHeaders[plain] || p.removed[plain] ||
		slices.ContainsFunc(trustedFamilies, func(beginning string) bool { return strings.HasPrefix(plain, beginning) })
}

// spelling is the name of a header in the form in which all programs that read it as a variable see the same.
func spelling(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// modify completes the response of the upstream, whose headers stay otherwise as they are.
func (p *Proxy) modify(response *http.Response) error {
	x := exchangeOf(response.Request.Context())
	if response.StatusCode == http.StatusSwitchingProtocols {
		x.upgraded = true
	}
	response.Header.Set(headerRequestID, x.id)
	if x.noStore && len(response.Header["Cache-Control"]) == 0 {
		response.Header.Set("Cache-Control", "no-store")
	}
	p.permit(response.Header, x.origin)
	return nil
}
