package apitest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// pebble is the certification authority that Let's Encrypt publishes for tests of ACME clients.
const pebble = "github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1"

// pebbleProgram builds it, at the first use of this version.
var pebbleProgram = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "sesame-tests", "pebble@v2.10.1")
	if err = os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	c := exec.Command("go", "install", pebble)
	c.Env = append(os.Environ(), "GOBIN="+folder)
	if output, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", pebble, err, output)
	}
	return filepath.Join(folder, "pebble"), nil
})

const certifiedHost = "login.example.com"

// authority is a running Pebble. It takes each name for this machine, and verifies names at two ports.
type authority struct {
	directory string
	roots     *x509.CertPool // of the certificates that it issues
	rootsPEM  string
	own       pair // its own certificate
	secure    string
	plain     string
	log       *lockedBuffer
	stop      func()
}

// startAuthority starts an authority. secure and plain are free addresses, at whose ports it verifies names.
func startAuthority(t *testing.T) *authority {
	t.Helper()
	program, err := pebbleProgram()
	if err != nil {
		if os.Getenv("SESAME_TEST_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ports := freePorts(t, 4)
	a := &authority{directory: "https://" + ports[0] + "/dir", own: newPair(t, 1, time.Now().Add(time.Hour)), log: &lockedBuffer{}, secure: ports[2], plain: ports[3]}
	config := map[string]any{"pebble": map[string]any{
		"listenAddress": ports[0], "managementListenAddress": ports[1], "certificate": a.own.cert, "privateKey": a.own.key,
		"tlsPort": port(t, a.secure), "httpPort": port(t, a.plain), "keyAlgorithm": "ecdsa",
	}}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	writeIn(t, folder, "pebble.json", string(text))
	c := exec.Command(program, "-strict", "-config", filepath.Join(folder, "pebble.json"), "-dnsserver", everyNameIsLocal(t))
	// Each order is verified, and a few requests are refused for their nonce, as by default.
	c.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	c.Stdout, c.Stderr = a.log, a.log
	if err = c.Start(); err != nil {
		t.Fatal(err)
	}
	a.stop = sync.OnceFunc(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	t.Cleanup(a.stop)
	client := a.client()
	until(t, "the authority answers", func() bool {
		response, err := client.Get("https://" + ports[1] + "/roots/0")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		a.rootsPEM = string(text)
		return err == nil
	})
	if a.roots = x509.NewCertPool(); !a.roots.AppendCertsFromPEM([]byte(a.rootsPEM)) {
		t.Fatalf("the authority has no root: %s", a.rootsPEM)
	}
	until(t, "the authority has a directory", func() bool {
		response, err := client.Get(a.directory)
		if err != nil {
			return false
		}
		return response.Body.Close() == nil
	})
	return a
}

// client trusts the authority's own certificate.
func (a *authority) client() *http.Client { return clientTrusting(a.own.pool) }

func clientTrusting(pool *x509.CertPool) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
}

// poolOf trusts the certificates of a file, and nothing if it cannot be read.
func poolOf(file string) *x509.CertPool {
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(file); err == nil {
		pool.AppendCertsFromPEM(text)
	}
	return pool
}

// orders is how many certificates were asked for.
func (a *authority) orders() int { return strings.Count(a.log.String(), "Added order ") }

// settings are those of a server whose certificate the authority issues.
func (a *authority) settings(more ...string) []string {
	return append([]string{
		"SESAME_ACME=on", "SESAME_ACME_DIRECTORY=" + a.directory, "SESAME_PUBLIC_URL=https://" + certifiedHost,
		"SESAME_LISTEN=" + a.secure, trustedAuthority + "=" + a.own.cert,
	}, more...)
}

func port(t *testing.T, address string) (n int) {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// everyNameIsLocal is a DNS server, over TCP, that gives 127.0.0.1 as the address of each name.
func everyNameIsLocal(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				for answerDNS(connection) == nil {
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func answerDNS(connection net.Conn) error {
	var length uint16
	if err := binary.Read(connection, binary.BigEndian, &length); err != nil {
		return err
	}
	packet := make([]byte, length)
	if _, err := io.ReadFull(connection, packet); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return err
	}
	m.Response, m.Additionals = true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}
