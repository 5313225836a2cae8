package apitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair is a self-made certificate and its key, in two files.
type pair struct {
	cert, key string
	pool      *x509.CertPool
}

// newPair makes a certificate for names and for 127.0.0.1.
func newPair(t *testing.T, serial int64, until time.Time, names ...string) pair {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	p := pair{filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"), x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.pool.AppendCertsFromPEM(certPEM)
	for name, content := range map[string][]byte{p.cert: certPEM, p.key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err = os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p pair) settings() []string {
	return []string{"SESAME_TLS_CERT=" + p.cert, "SESAME_TLS_KEY=" + p.key}
}

// rename puts the files of another pair in the place of these, as programs do that renew certificates.
func (p pair) rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// handshake returns the serial number of the certificate that the server shows, and the protocol.
func (s *server) handshake(t *testing.T, config *tls.Config) (serial int64, protocol string, err error) {
	t.Helper()
	dialer := &tls.Dialer{Config: config}
	connection, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "https://"))
	if err != nil {
		return 0, "", err
	}
	defer connection.Close()
	state := connection.(*tls.Conn).ConnectionState()
	return state.PeerCertificates[0].SerialNumber.Int64(), state.NegotiatedProtocol, nil
}

func TestBuiltInTLS(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, time.Now().Add(time.Hour))
	s := start(t, sqliteURL(t), p.settings()...)
	if !strings.HasPrefix(s.url, "https://") {
		t.Fatal(s.url)
	}
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: p.pool}
	tokens := s.newcomer(t, "ann")
	if a := s.do(t, me(tokens.AccessToken)).want(200); a.header.Get("Strict-Transport-Security") == "" {
		t.Error("an answer has no HSTS")
	}
	address := strings.TrimPrefix(s.url, "https://")
	e := environment{"SESAME_LISTEN": address, "SESAME_TLS_CERT": p.cert, "SESAME_TLS_KEY": p.key}
	if said := succeeds(t, "", e, "healthcheck"); said != "ready\n" {
		t.Error(said)
	}
	plain, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if plain.Body.Close(); plain.StatusCode != 400 {
		t.Errorf("plain HTTP is answered with %d", plain.StatusCode)
	}
	if _, protocol, err := s.handshake(t, &tls.Config{RootCAs: p.pool, NextProtos: []string{"h2", "http/1.1"}}); err != nil || protocol != "h2" {
		t.Errorf("%v: the protocol is %s", err, protocol)
	}
	if _, _, err := s.handshake(t, &tls.Config{RootCAs: p.pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	if _, _, err := s.handshake(t, &tls.Config{RootCAs: p.pool, MaxVersion: tls.VersionTLS12}); err != nil {
		t.Error(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.pool}, ForceAttemptHTTP2: true}}
	response, err := client.Get(s.url + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	if response.Body.Close(); response.StatusCode != 200 || response.ProtoMajor != 2 {
		t.Errorf("got %d over %s", response.StatusCode, response.Proto)
	}
	client.CloseIdleConnections()
}

// The server loads a renewed certificate by itself, and keeps the one that it has while the files do not fit together or the
// key is open to everybody. It says so once.
func TestARenewedCertificateIsLoaded(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour)
	p, renewed, third := newPair(t, 1, until), newPair(t, 2, until), newPair(t, 3, until)
	s := start(t, sqliteURL(t), p.settings()...)
	shows := func(want int64, when string) {
		t.Helper()
		for range 3 {
			if got, _, err := s.handshake(t, &tls.Config{InsecureSkipVerify: true}); err != nil || got != want {
				t.Errorf("%s: the server shows the certificate %d: %v", when, got, err)
			}
		}
	}
	shows(1, "at first")
	p.rename(t, renewed.cert, p.cert)
	shows(1, "between the two files")
	p.rename(t, renewed.key, p.key)
	shows(2, "after the renewal")
	p.rename(t, p.key, p.key+".old")
	shows(2, "without a key")
	if err := os.Chmod(third.key, 0o644); err != nil {
		t.Fatal(err)
	}
	p.rename(t, third.key, p.key)
	p.rename(t, third.cert, p.cert)
	shows(2, "with a key that everybody can read")
	if err := os.Chmod(p.key, 0o640); err != nil { // which the message asks for
		t.Fatal(err)
	}
	shows(3, "with a key of the group")
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: third.pool}
	log := s.wholeLog()
	if strings.Count(log, "the certificate was loaded again") != 2 || strings.Count(log, "the new certificate cannot be used") != 3 {
		t.Errorf("the log has\n%s", log)
	}
}

func TestFilesThatAreNoCertificateAreRefused(t *testing.T) {
	t.Parallel()
	p, other := newPair(t, 1, time.Now().Add(time.Hour)), newPair(t, 2, time.Now().Add(time.Hour))
	open := newPair(t, 3, time.Now().Add(time.Hour))
	if err := os.Chmod(open.key, 0o604); err != nil {
		t.Fatal(err)
	}
	for reason, e := range map[string]environment{
		"SESAME_TLS_CERT and SESAME_TLS_KEY belong together":       {"SESAME_TLS_CERT": p.cert},
		"SESAME_TLS_CERT and SESAME_TLS_KEY belong together; set":  {"SESAME_TLS_KEY": p.key},
		"SESAME_PUBLIC_URL must begin with https://":               {"SESAME_TLS_CERT": p.cert, "SESAME_TLS_KEY": p.key, "SESAME_PUBLIC_URL": "http://login.example"},
		"at a Unix socket the proxy speaks HTTPS":                  {"SESAME_TLS_CERT": p.cert, "SESAME_TLS_KEY": p.key, "SESAME_LISTEN": "unix:/run/x", "SESAME_PUBLIC_URL": "https://login.example"},
		"do not fit together":                                      {"SESAME_TLS_CERT": p.cert, "SESAME_TLS_KEY": other.key},
		"are not PEM files":                                        {"SESAME_TLS_CERT": p.key, "SESAME_TLS_KEY": p.key},
		"/none, which SESAME_TLS_CERT names":                       {"SESAME_TLS_CERT": t.TempDir() + "/none", "SESAME_TLS_KEY": p.key},
		"/none, which SESAME_TLS_KEY names":                        {"SESAME_TLS_CERT": p.cert, "SESAME_TLS_KEY": t.TempDir() + "/none"},
		"every user of this machine has access to the private key": {"SESAME_TLS_CERT": open.cert, "SESAME_TLS_KEY": open.key},
	} {
		folder := t.TempDir()
		e["SESAME_DATABASE_URL"] = "sqlite:" + folder + "/sesame.db"
		if e["SESAME_LISTEN"] == "" {
			e["SESAME_LISTEN"] = "127.0.0.1:0"
		}
		fails(t, "", e, reason, "serve")
		if left := files(t, folder); len(left) > 0 {
			t.Errorf("%s leaves %v", reason, left)
		}
	}
}

// A certificate that clients will refuse is no reason not to start: it may be renewed while the server runs.
func TestACertificateThatClientsRefuseIsWarnedOf(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, time.Now().Add(-time.Hour), "other.example")
	s := start(t, sqliteURL(t), append(p.settings(), "SESAME_PUBLIC_URL=https://login.example")...)
	log := s.wholeLog()
	for _, text := range []string{"it is not valid now; renew it", "it is not for the host of the public URL", "other.example"} {
		if !strings.Contains(log, text) {
			t.Errorf("the log does not say %q:\n%s", text, log)
		}
	}
}
