package apitest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// certified returns the serial number of the certificate that a server shows to a client who trusts the authority; "" if the
// client refuses it.
func (s *server) certified(t *testing.T, a *authority) (serial string) {
	t.Helper()
	connection, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{RootCAs: a.roots, ServerName: certifiedHost})
	if err != nil {
		return ""
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// untilCertified waits for another certificate than the old one.
func (s *server) untilCertified(t *testing.T, a *authority, old string) (serial string) {
	t.Helper()
	until(t, "the server has a certificate", func() bool {
		serial = s.certified(t, a)
		return serial != "" && serial != old
	})
	return serial
}

// A server gets its certificate while it runs, keeps it in the database over a restart and the replacement of the master key,
// and gets another one if no key opens it.
func TestACertificateOfAnAuthority(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			a, dbURL, next := startAuthority(t), databaseURL(t), newMasterKey()
			s := start(t, dbURL, a.settings(metered)...)
			serial := s.untilCertified(t, a, "")
			health := environment{"SESAME_LISTEN": a.secure, "SESAME_ACME": "on", "SESAME_PUBLIC_URL": "https://" + certifiedHost}
			if said := succeeds(t, "", health, "healthcheck"); said != "ready\n" {
				t.Error(said)
			}
			folder := t.TempDir()
			writeIn(t, folder, "root.pem", a.rootsPEM)
			curl := exec.Command("curl", "--silent", "--show-error", "--cacert", folder+"/root.pem",
				"--resolve", certifiedHost+":"+strings.TrimPrefix(a.secure, "127.0.0.1:")+":127.0.0.1", strings.Replace(s.url, "127.0.0.1", certifiedHost, 1)+"/readyz")
			if output, err := curl.CombinedOutput(); err != nil || !strings.Contains(string(output), `"ok"`) {
				t.Errorf("curl: %v: %s", err, output)
			}
			n := s.metrics(t)
			if left := n["sesame_tls_certificate_expiry_timestamp_seconds"] - float64(time.Now().Unix()); left < 89*24*3600 || n[`sesame_acme_attempts_total{outcome="success"}`] != 1 {
				t.Errorf("the metrics have %v s left and %v attempts", left, n[`sesame_acme_attempts_total{outcome="success"}`])
			}
			s.holdsNoKeyInPlain(t)
			old := testKey()
			for _, keys := range [][]string{{old, ""}, {old, next}, {next, old}, {next, ""}} {
				s.stop()
				s = start(t, dbURL, a.settings("SESAME_MASTER_KEY="+keys[0], "SESAME_SECOND_MASTER_KEY="+keys[1])...)
				if got := s.certified(t, a); got != serial {
					t.Errorf("after a restart with the keys %d the certificate is %q, want %q", len(keys[1]), got, serial)
				}
				if sealed := strings.Contains(s.wholeLog(), "certificate sealed with the new master key"); sealed != (keys[0] == next && keys[1] == old) {
					t.Errorf("sealed again: %v", sealed)
				}
			}
			if a.orders() != 1 {
				t.Errorf("there were %d orders", a.orders())
			}
			s.sql(t, `DELETE FROM id_token_keys`)
			s.sql(t, `DELETE FROM signing_keys`) // as the guide says for a master key that may have leaked
			s = start(t, dbURL, a.settings("SESAME_MASTER_KEY="+newMasterKey())...)
			s.untilCertified(t, a, serial)
			if log := s.wholeLog(); !strings.Contains(log, "cannot be opened") || strings.Contains(log, "PRIVATE KEY") {
				t.Errorf("the log has\n%s", log)
			}
		})
	}
}

// holdsNoKeyInPlain checks that the columns of the certificate are not what they seal.
func (s *server) holdsNoKeyInPlain(t *testing.T) {
	t.Helper()
	for _, column := range []string{"account", "certificate"} {
		text := s.value(t, `SELECT `+column+` FROM certificates`)
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(der) < 100 {
			t.Fatalf("%s is %q", column, text)
		}
		if _, err = x509.ParsePKCS8PrivateKey(der); err == nil || strings.Contains(string(der), "BEGIN") {
			t.Errorf("%s is a key in plain", column)
		}
	}
	if text := s.value(t, `SELECT challenge FROM certificates`); text != "" {
		t.Error("the challenge is still there")
	}
}

// Two replicas serve one certificate. It is renewed when a third of its life is left; the authority asks one replica, and the
// other one has the order.
func TestReplicasShareACertificate(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			a, dbURL := startAuthority(t), databaseURL(t)
			asked := start(t, dbURL, a.settings()...)
			other := start(t, dbURL, a.settings("SESAME_LISTEN=127.0.0.1:0")...)
			serial := asked.untilCertified(t, a, "")
			if got := other.untilCertified(t, a, ""); got != serial || a.orders() != 1 {
				t.Errorf("the replicas have the certificates %s and %s, of %d orders", serial, got, a.orders())
			}
			other.clock.advance(59 * 24 * time.Hour)
			until(t, "it has looked", func() bool { return a.orders() == 1 })
			other.clock.advance(24*time.Hour + time.Hour)
			renewed := other.untilCertified(t, a, serial)
			asked.clock.advance(time.Minute)
			if got := asked.untilCertified(t, a, serial); got != renewed || a.orders() != 2 {
				t.Errorf("the replicas have the certificates %s and %s, of %d orders", renewed, got, a.orders())
			}
			if log := other.wholeLog(); strings.Count(log, "requesting a certificate") < 1 {
				t.Errorf("another replica has renewed it:\n%s", log)
			}
		})
	}
}

// While the authority does not answer, the server goes on with the certificate that it has. It tries again after a pause that
// grows, and says so once for each attempt.
func TestAnAuthorityThatIsDown(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	s := start(t, sqliteURL(t), a.settings(metered, "SESAME_LOG_LEVEL=debug")...)
	serial := s.untilCertified(t, a, "")
	a.stop()
	s.clock.stop() // only the test moves it on
	failures := func() float64 { return s.metrics(t)[`sesame_acme_attempts_total{outcome="failure"}`] }
	reads := func() int { return strings.Count(s.log.String(), "read the certificate: it is time") }
	s.clock.advance(61 * 24 * time.Hour)
	for attempt, pause := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, time.Hour} {
		until(t, "an attempt has failed", func() bool { return failures() == float64(attempt+1) })
		s.clock.advance(pause - time.Second)
		before := reads()
		until(t, "the server has looked again", func() bool { return reads() > before })
		if failures() != float64(attempt+1) {
			t.Errorf("an attempt follows before %v", pause)
		}
		s.clock.advance(31 * time.Second)
	}
	if s.certified(t, a) != serial {
		t.Error("the certificate is gone")
	}
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: a.roots, ServerName: certifiedHost}
	s.do(t, get("/readyz")).want(200)
	log := s.wholeLog()
	if n := strings.Count(log, "no certificate could be obtained"); n < 6 || n > 8 || !strings.Contains(log, `"valid_until"`) || !strings.Contains(log, `"next_attempt"`) {
		t.Errorf("%d attempts are logged:\n%s", n, log)
	}
}

// A server that the authority reaches at port 80 alone gets its certificate by http-01.
func TestACertificateByHTTP(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	s := start(t, sqliteURL(t), a.settings("SESAME_LISTEN=127.0.0.1:0", "SESAME_REDIRECT_LISTEN="+a.plain)...)
	until(t, "tls-alpn-01 has failed", func() bool { return strings.Contains(s.log.String(), "no certificate could be obtained") })
	if serial := s.certified(t, a); serial != "" {
		t.Fatal("the server has a certificate of the authority")
	}
	health := environment{"SESAME_LISTEN": strings.TrimPrefix(s.url, "https://"), "SESAME_ACME": "on", "SESAME_PUBLIC_URL": "https://" + certifiedHost}
	if said := succeeds(t, "", health, "healthcheck"); said != "ready\n" { // which does not depend on the authority
		t.Error(said)
	}
	if status, text := fetch(t, "http://"+a.plain+"/.well-known/acme-challenge/x"); status != 404 || !strings.Contains(text, "No such challenge") {
		t.Errorf("a challenge that does not exist: %d %s", status, text)
	}
	s.clock.advance(6 * time.Minute)
	s.untilCertified(t, a, "")
	if log := s.wholeLog(); !strings.Contains(log, `"challenge":"http-01"`) {
		t.Errorf("the log has\n%s", log)
	}
}

// The names in handshakes are a client's choice. All but one are refused, and none makes an order.
func TestHandshakesMakeNoOrder(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	s := start(t, sqliteURL(t), a.settings()...)
	s.untilCertified(t, a, "")
	address := strings.TrimPrefix(s.url, "https://")
	for _, name := range []string{"other.example.com", "localhost", "x." + certifiedHost, strings.Repeat("a", 60) + ".example"} {
		for _, protocols := range [][]string{nil, {"acme-tls/1"}, {"h2", "acme-tls/1"}} {
			_, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: protocols})
			if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
				t.Errorf("%s %v: %v", name, protocols, err)
			}
		}
	}
	until(t, "no replica remembers the challenge of the order", func() bool {
		_, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: certifiedHost, NextProtos: []string{"acme-tls/1"}})
		return err != nil
	})
	for name, config := range map[string]*tls.Config{
		"in capitals":  {RootCAs: a.roots, ServerName: strings.ToUpper(certifiedHost)},
		"without name": {InsecureSkipVerify: true, ServerName: "127.0.0.1"},
	} {
		connection, err := tls.Dial("tcp", address, config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err = connection.ConnectionState().PeerCertificates[0].VerifyHostname(certifiedHost); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		connection.Close()
	}
	rsa := &tls.Config{RootCAs: a.roots, ServerName: certifiedHost, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	if _, err := tls.Dial("tcp", address, rsa); err == nil {
		t.Error("a client without ECDSA gets a certificate")
	}
	if a.orders() != 1 {
		t.Errorf("there were %d orders", a.orders())
	}
}

var redirectLine = regexp.MustCompile(`"redirecting plain HTTP","address":"(http://[^"]+)"`)

// Plain HTTP leads to the public host alone, and only where nothing secret was sent.
func TestPlainHTTPIsRedirected(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, time.Now().Add(time.Hour), certifiedHost)
	s := start(t, sqliteURL(t), append(p.settings(), "SESAME_PUBLIC_URL=https://"+certifiedHost+":8443/auth", "SESAME_REDIRECT_LISTEN=127.0.0.1:0", metered)...)
	var plain string
	until(t, "it listens", func() bool {
		m := redirectLine.FindStringSubmatch(s.log.String())
		if m != nil {
			plain = strings.TrimPrefix(m[1], "http://")
		}
		return m != nil
	})
	const public = "https://" + certifiedHost + ":8443"
	for line, want := range map[string]string{
		"GET /auth/users?q=a%20b HTTP/1.1": public + "/auth/users?q=a%20b", "HEAD / HTTP/1.1": public + "/", "GET //evil.example/x HTTP/1.1": public + "//evil.example/x",
		"GET http://evil.example/a%2Fb HTTP/1.1": public + "/a%2Fb", "GET /.well-known/acme-challenge/x HTTP/1.1": public + "/.well-known/acme-challenge/x",
		"POST /auth/token HTTP/1.1": "403", "DELETE / HTTP/1.1": "403", "OPTIONS * HTTP/1.1": "403", "CONNECT evil.example:443 HTTP/1.1": "403",
	} {
		answer := raw(t, plain, line+"\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
		if want == "403" && strings.HasPrefix(answer, "HTTP/1.1 403 ") {
			continue
		}
		if !strings.HasPrefix(answer, "HTTP/1.1 308 ") || !strings.Contains(answer, "\r\nLocation: "+want+"\r\n") {
			t.Errorf("%s: %s", line, answer)
		}
	}
	if expiry := s.metrics(t)["sesame_tls_certificate_expiry_timestamp_seconds"]; expiry < float64(time.Now().Unix()) {
		t.Errorf("the certificate of the files expires at %v", expiry)
	}
}

// raw sends bytes over a new connection and returns everything that comes back.
func raw(t *testing.T, address, text string) (answer string) {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err = io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestSettingsOfHTTPSThatCannotWork(t *testing.T) {
	t.Parallel()
	const name = "https://login.example.com"
	for _, c := range []struct {
		reason string
		environment
	}{
		{"SESAME_ACME is \"yes\"; it must be on or off", environment{"SESAME_ACME": "yes"}},
		{"SESAME_PUBLIC_URL must be set to https://", environment{"SESAME_ACME": "on"}},
		{"SESAME_PUBLIC_URL must be set to https://", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": "https://192.0.2.1"}},
		{"SESAME_PUBLIC_URL must be set to https://", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": "https://[2001:db8::1]"}},
		{"SESAME_PUBLIC_URL must be set to https://", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": "https://localhost"}},
		{"SESAME_PUBLIC_URL must be set to https://", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": "https://*.example.com"}},
		{"SESAME_PUBLIC_URL must be set to https://", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": "https://bücher.example"}},
		{"SESAME_PUBLIC_URL must begin with https://", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": "http://login.example.com"}},
		{"only one of them can give the certificate", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": name, "SESAME_TLS_CERT": "x", "SESAME_TLS_KEY": "y"}},
		{"at a Unix socket the proxy speaks HTTPS", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": name, "SESAME_LISTEN": "unix:/run/x"}},
		{"SESAME_ACME_DIRECTORY is \"http://ca.example\"", environment{"SESAME_ACME_DIRECTORY": "http://ca.example"}},
		{"SESAME_ACME_DIRECTORY must have no user and no password: the log", environment{"SESAME_ACME_DIRECTORY": "https://me:db-secret@ca.example"}},
		{"SESAME_REDIRECT_LISTEN is for a server that speaks HTTPS itself", environment{"SESAME_REDIRECT_LISTEN": "127.0.0.1:80"}},
		{"SESAME_REDIRECT_LISTEN is \"80\"", environment{"SESAME_REDIRECT_LISTEN": "80", "SESAME_ACME": "on", "SESAME_PUBLIC_URL": name}},
	} {
		fails(t, "", c.environment, c.reason, "config")
	}
	succeeds(t, "", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": "https://xn--bcher-kva.example:8443/auth", "SESAME_REDIRECT_LISTEN": "0.0.0.0:80", "SESAME_SMTP_URL": "log:"}, "config")
	fails(t, "", environment{"SESAME_ACME": "on", "SESAME_PUBLIC_URL": name}, "the mock gets no certificate", "mock")
}
