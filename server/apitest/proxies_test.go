package apitest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sesame/gen/api"
)

// proxy is a program in front of the server, with a file of docs/deployment/proxies.
type proxy struct {
	program string   // skipped if it is not installed
	file    string   // in docs/deployment/proxies
	host    string   // of the certificate
	args    []string // CONFIG is the file that the program reads, SECURE and PLAIN are the addresses at which it listens
	// around gives the configuration of the program from that of the file; it may be nil.
	around   func(folder, text string) string
	settings []string // of the server
}

const trustLoopback = "SESAME_TRUSTED_PROXIES=127.0.0.1/32"

// inNginx is what Debian's nginx.conf has around a file of conf.d, but with every path in a folder of the test.
func inNginx(folder, text string) string {
	temporary := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, folder, kind)
	}
	return fmt.Sprintf("daemon off;\nworker_processes 1;\npid %s/pid;\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n%s\n%s}\n", folder, temporary, text)
}

func inCaddy(folder, text string) string {
	site := strings.Replace(text, "login.example.com {", "https://login.example.com:443 {\n\tbind 127.0.0.1\n\ttls "+folder+"/cert.pem "+folder+"/key.pem", 1)
	return strings.Replace(site, "\n{\n", "\n{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n", 1)
}

var proxies = map[string]proxy{
	"nginx": {
		program: "nginx", file: "nginx.conf", host: "login.example.com", args: []string{"-e", "stderr", "-c", "CONFIG"}, around: inNginx,
		settings: []string{"SESAME_PUBLIC_URL=https://login.example.com", trustLoopback},
	},
	"nginx and a socket": {
		program: "nginx", file: "nginx-socket.conf", host: "login.example.com", args: []string{"-e", "stderr", "-c", "CONFIG"}, around: inNginx,
		settings: []string{"SESAME_PUBLIC_URL=https://login.example.com", "SESAME_LISTEN=unix:SOCKET"},
	},
	"nginx and a path": {
		program: "nginx", file: "nginx-path.conf", host: "www.example.com", args: []string{"-e", "stderr", "-c", "CONFIG"}, around: inNginx,
		settings: []string{"SESAME_PUBLIC_URL=https://www.example.com/auth", trustLoopback},
	},
	"HAProxy": {
		program: "haproxy", file: "haproxy.cfg", host: "login.example.com", args: []string{"-db", "-f", "CONFIG"},
		settings: []string{"SESAME_PUBLIC_URL=https://login.example.com", trustLoopback},
	},
	"HAProxy and a path": {
		program: "haproxy", file: "haproxy-path.cfg", host: "www.example.com", args: []string{"-db", "-f", "CONFIG"},
		settings: []string{"SESAME_PUBLIC_URL=https://www.example.com/auth", trustLoopback},
	},
	"Caddy": {
		program: "caddy", file: "Caddyfile", host: "login.example.com", args: []string{"run", "--adapter", "caddyfile", "--config", "CONFIG"}, around: inCaddy,
		settings: []string{"SESAME_PUBLIC_URL=https://login.example.com", trustLoopback},
	},
	"Traefik": {
		program: "traefik", file: "traefik.yaml", host: "login.example.com",
		args: []string{
			"--entryPoints.websecure.address=SECURE", "--providers.file.filename=CONFIG", "--accessLog=true", "--accessLog.fields.names.RequestPath=drop",
			"--log.level=ERROR", "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false",
		},
		settings: []string{"SESAME_PUBLIC_URL=https://login.example.com", trustLoopback},
	},
}

// Each proxy, with exactly the file that operators copy, but for ports and paths, serves a login over HTTPS; the session has the
// address of the client and not one that the client has made up.
func TestProxies(t *testing.T) {
	t.Parallel()
	for name, p := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			running := p.start(t)
			s := running.server
			user := s.register(t, "ann")
			forging := from("203.0.113.9", passwordGrant("ann", horse))
			tokens := decode[api.Token](s.do(t, forging).want(200))
			list := decode[api.SessionPage](s.do(t, request{method: "GET", path: "/users/me/sessions", token: tokens.AccessToken}).want(200))
			if got := list.Items[0].IPAddress; got != "127.0.0.2" {
				t.Errorf("the session has the address %s, and the client has 127.0.0.2", got)
			}
			a := s.do(t, me(tokens.AccessToken)).want(200)
			if got := decode[api.User](a).ID; got != user.ID || a.header.Get("Strict-Transport-Security") == "" {
				t.Errorf("got %s; HSTS is %q", got, a.header.Get("Strict-Transport-Security"))
			}
			if a := s.do(t, request{method: "HEAD", path: "/.well-known/jwks.json"}); a.status != 200 || len(a.body) > 0 {
				t.Errorf("HEAD: %d %s", a.status, a.body)
			}
			s.do(t, get("/nothing-here")).want(404, "not_found")
			if a, err := s.try(get("/reset-password?code=mailed-secret")); err != nil || a.status >= 500 {
				t.Errorf("the page of a mailed link: %v", err)
			}
			issuer := decode[api.Metadata](s.do(t, get("/.well-known/oauth-authorization-server")).want(200)).Issuer
			if base := strings.TrimPrefix(issuer, "https://"+p.host); base != "" {
				s.url = strings.TrimSuffix(s.url, base)
				if a, err := s.try(get("/.well-known/oauth-authorization-server" + base)); err != nil || a.status != 200 {
					t.Errorf("the metadata of %s: %v", issuer, err)
				}
				s.url += base
			}
			running.redirects(t)
			s.stop()
			if a, err := s.try(get("/reset-password?code=mailed-secret")); err != nil || a.status < 500 {
				t.Errorf("without a server: %d, %v", a.status, err)
			}
			running.end()
			if text := running.log(t); strings.Contains(text, "mailed-secret") {
				t.Errorf("the log of the proxy has a code:\n%s", text)
			}
			if log := s.wholeLog(); strings.Contains(log, "X-Forwarded-For is ignored") || strings.Contains(log, "has no X-Forwarded-For") {
				t.Errorf("the log has\n%s", log)
			}
		})
	}
}

// runningProxy is a proxy and the server behind it, whose url and client go through the proxy.
type runningProxy struct {
	proxy
	server *server
	folder string
	plain  string // the address of the listener without TLS, or ""
	output *lockedBuffer
	end    func()
}

func (p proxy) start(t *testing.T) *runningProxy {
	t.Helper()
	program := p.path(t)
	folder, err := os.MkdirTemp("", "sesame-proxy-") //nolint:usetesting // the user of the proxy may not enter the folder above t.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	cert := newPair(t, 1, time.Now().Add(time.Hour), p.host)
	combined := ""
	for name, file := range map[string]string{"cert.pem": cert.cert, "key.pem": cert.key} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		combined += string(text)
		writeIn(t, folder, name, string(text))
	}
	writeIn(t, folder, "both.pem", combined)
	p.settings = slices.Clone(p.settings)
	for i, setting := range p.settings {
		p.settings[i] = strings.Replace(setting, "SOCKET", folder+"/socket", 1)
	}
	s := start(t, sqliteURL(t), p.settings...)
	ports := freePorts(t, 2)
	text, err := os.ReadFile("../../docs/deployment/proxies/" + p.file)
	if err != nil {
		t.Fatal(err)
	}
	config := p.config(folder, string(text), strings.TrimPrefix(s.url, "http://"), ports)
	writeIn(t, folder, "config.yaml", config) // Traefik wants that ending

	running := &runningProxy{proxy: p, server: s, folder: folder, output: &lockedBuffer{}}
	if strings.Contains(string(text), " 80;") || strings.Contains(string(text), ":80\n") {
		running.plain = ports[1]
	}
	running.run(t, program, ports)
	secure := ports[0]
	s.client = &http.Client{Timeout: 30 * time.Second, CheckRedirect: s.client.CheckRedirect, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: cert.pool}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { // from an address that is not trusted
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(ctx, "tcp", secure)
		},
	}}
	s.url = strings.TrimPrefix(p.settings[0], "SESAME_PUBLIC_URL=")
	running.untilItShows(t, cert, secure)
	return running
}

// path finds the program; Debian has some in sbin.
func (p proxy) path(t *testing.T) string {
	t.Helper()
	for _, name := range []string{p.program, "/usr/sbin/" + p.program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("SESAME_TEST_REQUIRE_ALL") == "1" {
		t.Fatalf("%s is not installed", p.program)
	}
	t.Skip(p.program + " is not installed")
	return ""
}

// config puts ports and paths of the test into a file of the documentation.
func (p proxy) config(folder, text, server string, ports []string) string {
	if p.around != nil {
		text = p.around(folder, text)
	}
	text = regexp.MustCompile(`(?m)^.*\[::\].*$`).ReplaceAllString(text, "") // containers often have no IPv6
	for port, address := range map[string]string{"443": ports[0], "80": ports[1]} {
		text = regexp.MustCompile(`((?:listen|bind) ):?`+port+`([ ;\n])`).ReplaceAllString(text, "${1}"+address+"${2}")
	}
	_, secure, _ := net.SplitHostPort(ports[0])
	return strings.NewReplacer(
		"127.0.0.1:8080", server, "192.0.2.21:8080", server, "192.0.2.22:8080", server, "unix:/run/sesame/socket", "unix:"+folder+"/socket",
		"/etc/letsencrypt/live/"+p.host+"/fullchain.pem", folder+"/cert.pem", "/etc/letsencrypt/live/"+p.host+"/privkey.pem", folder+"/key.pem",
		"/etc/traefik/"+p.host+"/fullchain.pem", folder+"/cert.pem", "/etc/traefik/"+p.host+"/privkey.pem", folder+"/key.pem",
		"/etc/haproxy/"+p.host+".pem", folder+"/both.pem", "/var/log/nginx/sesame.log", folder+"/access.log", "/var/log/nginx/sesame-error.log", folder+"/error.log", "https://"+p.host+":443 {", "https://"+p.host+":"+secure+" {",
	).Replace(text)
}

// run starts the program. It runs as another user than root, but in root's group, as which the server's socket is open.
func (r *runningProxy) run(t *testing.T, program string, ports []string) {
	t.Helper()
	args := append([]string{}, r.args...)
	for i := range args {
		args[i] = strings.NewReplacer("CONFIG", r.folder+"/config.yaml", "SECURE", ports[0], "PLAIN", ports[1]).Replace(args[i])
	}
	c := exec.Command(program, args...)
	c.Dir, c.Env, c.Stdout, c.Stderr = r.folder, []string{"HOME=" + r.folder, "PATH=" + os.Getenv("PATH")}, r.output, r.output
	if os.Geteuid() == 0 {
		const nobody = 65534
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: 0}}
		entries, err := filepath.Glob(r.folder + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(entries, r.folder) {
			if err := os.Chown(name, nobody, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(exited)
	}()
	ended := false
	r.end = func() {
		if !ended {
			ended = true
			_ = c.Process.Signal(syscall.SIGTERM)
			<-exited
		}
	}
	t.Cleanup(r.end)
}

// untilItShows waits until the proxy shows its certificate: Traefik listens before it has read its files.
func (r *runningProxy) untilItShows(t *testing.T, cert pair, address string) {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: cert.pool, ServerName: r.host}}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		connection, err := dialer.DialContext(t.Context(), "tcp", address)
		if err == nil {
			connection.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v\n%s", r.program, err, r.output)
		}
	}
}

// redirects checks that the listener without TLS leads to HTTPS, with the path and the query.
func (r *runningProxy) redirects(t *testing.T) {
	t.Helper()
	if r.plain == "" {
		return
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.plain+"/users?q=a%20b", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Host = r.host
	response, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Location"); response.StatusCode != 308 || got != "https://"+r.host+"/users?q=a%20b" {
		t.Errorf("HTTP is redirected with %d to %s", response.StatusCode, got)
	}
}

func (r *runningProxy) log(t *testing.T) string {
	t.Helper()
	all := r.output.String()
	for _, name := range []string{"access.log", "error.log"} {
		text, err := os.ReadFile(r.folder + "/" + name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

func writeIn(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freePorts returns addresses at which nothing listened just now.
func freePorts(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}
