package mailer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"sesame/server/internal/mailer"
	"sesame/server/internal/smtptest"
	"sesame/server/secret"
)

// certificate is one for 127.0.0.1 that this process trusts: TestMain puts it where Go looks for roots.
var certificate tls.Certificate

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "sesame-mail-*")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		private, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
		if err != nil {
			panic(err)
		}
		file := filepath.Join(folder, "root.pem")
		if err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			panic(err)
		}
		os.Setenv("SSL_CERT_FILE", file)
		certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
		return m.Run()
	}())
}

var message = mailer.Message{ID: "id-1", To: "ann@example.com", Subject: "Größe", Text: secret.New("text code-1"), HTML: secret.New("<p>code-1</p>")}

// send sends message to a server, whose address change may alter.
func send(t *testing.T, post *smtptest.Server, change func(string) string) error {
	t.Helper()
	sender, err := mailer.NewSMTP(secret.New(change(post.URL)), "Süß & Co <no-reply@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	return sender.Send(t.Context(), message)
}

func TestMailsAreProtectedOnTheirWay(t *testing.T) {
	t.Parallel()
	trusted := &tls.Config{Certificates: []tls.Certificate{certificate}}
	other := untrustedCertificate(t)
	login := func(query string) func(string) string {
		return func(address string) string { return strings.Replace(address, "://", "://sesame:p%40ss@", 1) + query }
	}
	plain := func(query string) func(string) string { return func(address string) string { return address + query } }
	for name, c := range map[string]struct {
		options smtptest.Options
		address func(string) string
		refusal string // "" for: it is sent
	}{
		"STARTTLS":                            {smtptest.Options{TLS: trusted, Password: "p@ss"}, login("?tls=starttls"), ""},
		"TLS":                                 {smtptest.Options{TLS: trusted, Implicit: true, Password: "p@ss"}, login(""), ""},
		"loopback":                            {smtptest.Options{}, plain(""), ""},
		"loopback with a password":            {smtptest.Options{Password: "p@ss"}, login(""), ""},
		"STARTTLS that is not offered":        {smtptest.Options{Password: "p@ss"}, login("?tls=starttls"), "STARTTLS"},
		"STARTTLS with another certificate":   {smtptest.Options{TLS: other}, plain("?tls=starttls"), "certificate"},
		"TLS with another certificate":        {smtptest.Options{TLS: other, Implicit: true}, plain(""), "certificate"},
		"a wrong password":                    {smtptest.Options{TLS: trusted, Password: "else"}, login("?tls=starttls"), "535"},
		"no password where one is wanted":     {smtptest.Options{Password: "else"}, plain(""), "530"},
		"a password where nobody asks for it": {smtptest.Options{}, login(""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			post := smtptest.Start(t, "127.0.0.1:0", c.options)
			err := send(t, post, c.address)
			if c.refusal == "" {
				if err != nil || len(post.Mails()) != 1 {
					t.Errorf("%v, %d mails", err, len(post.Mails()))
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.refusal) || errors.Is(err, mailer.ErrPermanent) || len(post.Mails()) != 0 {
				t.Errorf("%v, %d mails", err, len(post.Mails()))
			}
			if err != nil && strings.Contains(err.Error(), "p@ss") {
				t.Errorf("it tells the password: %v", err)
			}
		})
	}
}

// untrustedCertificate is one that nobody trusts.
func untrustedCertificate(t *testing.T) *tls.Config {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
}

// A receiver sees both parts, the same id for every attempt, and names that are not ASCII.
func TestAMailsHeader(t *testing.T) {
	t.Parallel()
	post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
	for range 2 {
		if err := send(t, post, strings.Clone); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range post.Mails() {
		from, err := m.Header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].Name != "Süß & Co" || m.From != "no-reply@example.com" || m.Subject != "Größe" {
			t.Errorf("%v: from %v, subject %q", err, from, m.Subject)
		}
		if m.Header.Get("Message-Id") != "<id-1@example.com>" || m.Header.Get("To") != "<ann@example.com>" || m.Header.Get("Date") == "" {
			t.Errorf("the header is %v", m.Header)
		}
		if m.Text != "text code-1" || m.HTML != "<p>code-1</p>" {
			t.Errorf("the parts are %q and %q", m.Text, m.HTML)
		}
	}
}

// A 5xx reply to the recipient or the content is final; nothing that the mail server says
// is repeated but its codes.
func TestWhatTheMailServerSays(t *testing.T) {
	t.Parallel()
	say := func(code int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: "no, for it says code-1"}
	}
	for _, code := range []int{421, 450, 451, 452, 550, 552, 554} {
		for step, o := range map[string]smtptest.Options{
			"sender":    {Sender: func(string) error { return say(code) }},
			"recipient": {Rcpt: func(string) error { return say(code) }},
			"content":   {Data: func(string, string) error { return say(code) }},
		} {
			t.Run(fmt.Sprintf("%d to the %s", code, step), func(t *testing.T) {
				t.Parallel()
				err := send(t, smtptest.Start(t, "127.0.0.1:0", o), strings.Clone)
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d %d.7.1", code, code/100)) || strings.Contains(err.Error(), "code-1") {
					t.Errorf("got %v", err)
				}
				if errors.Is(err, mailer.ErrPermanent) != (code >= 500 && step != "sender") {
					t.Errorf("for good: %v", err)
				}
			})
		}
	}
}

// A mail server that takes a connection and says nothing, or stops in the midst, is left when the context
// ends.
func TestASilentMailServerIsLeft(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sender, err := mailer.NewSMTP(secret.New("smtp://"+listener.Addr().String()), "no-reply@example.com")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := listener.Accept(); err == nil {
			defer conn.Close()
			fmt.Fprint(conn, "220 x\r\n")
			for range textLines(conn) { // EHLO, and no more
				cancel()
			}
		}
	}()
	if err = sender.Send(ctx, message); !errors.Is(err, net.ErrClosed) || errors.Is(err, mailer.ErrPermanent) {
		t.Errorf("got %v", err)
	}
}

// A mail that was taken is sent, whatever comes after it.
func TestAConnectionThatBreaksAfterTheMail(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		lines := textLines(conn)
		fmt.Fprint(conn, "220 x\r\n")
		for line := range lines {
			switch {
			case strings.HasPrefix(line, "DATA"):
				fmt.Fprint(conn, "354 go\r\n")
				for line = range lines {
					if line == "." {
						break
					}
				}
				fmt.Fprint(conn, "250 taken\r\n")
				return
			default:
				fmt.Fprint(conn, "250 ok\r\n")
			}
		}
	}()
	sender, err := mailer.NewSMTP(secret.New("smtp://"+listener.Addr().String()), "no-reply@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err = sender.Send(t.Context(), message); err != nil {
		t.Error(err)
	}
}

func TestAddressesAreReadStrictly(t *testing.T) {
	t.Parallel()
	post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
	sender, err := mailer.NewSMTP(secret.New(post.URL), "no-reply@example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{
		"", "ann", "Ann <ann@example.com>", "<ann@example.com>", "ann@example.com, bob@example.com", "ann@example.com (x)", " ann@example.com",
		"ann@example.com\r\nBcc: bob@example.com", "ann@example.com\n", "ann@example.com\x00",
		"ann@example.com>\r\nRCPT TO:<bob@example.com", "\"a\r\nb\"@example.com",
	} {
		m := message
		m.To = to
		if err = sender.Send(t.Context(), m); !errors.Is(err, mailer.ErrPermanent) {
			t.Errorf("%q: %v", to, err)
		}
	}
	for _, from := range []string{"", "example.com", "a@b, c@d", "A\r\nBcc: x@y <a@example.com>", "no-reply@bücher.example", "a@example.com\n"} {
		if mailer.CheckFrom(from) == "" {
			t.Errorf("%q may send", from)
		}
	}
	if len(post.Mails()) > 0 {
		t.Errorf("sent %v", post.Mails())
	}
}

func TestAddressesOfMailServers(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"smtp://mail.example", "smtps://mail.example", "smtp://u:p@mail.example:587", "smtp://u%40x:p%2F@mail.example:25/", "smtp://10.0.0.1:25?tls=off",
		"smtp://[::1]:1025", "smtp://localhost:1025?tls=starttls",
	} {
		if reason := mailer.CheckURL(address); reason != "" {
			t.Errorf("%s %s", address, reason)
		}
	}
	for _, address := range []string{
		"", "mail.example", "mail.example:25", "http://mail.example", "smtp://", "smtp://:25", "smtp://u@mail.example", "smtp://u:@mail.example",
		"smtp://:p@mail.example", "smtp://mail.example:0", "smtp://mail.example:99999", "smtp://mail.example/x", "smtp://mail.example#x",
		"smtp://mail.example?tls=maybe", "smtp://mail.example?ssl=off", "smtps://mail.example?tls=off", "smtp://u:p#w@mail.example",
	} {
		if mailer.CheckURL(address) == "" {
			t.Errorf("%s is taken", address)
		}
	}
}
