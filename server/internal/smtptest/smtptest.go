// Package smtptest runs a mail server for tests, which keeps what it is given and can be told to refuse,
// to fail and to be slow.
//
//	post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
//	… "SESAME_SMTP_URL=" + post.URL …
//	post.Mails()
package smtptest

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Options are how a server behaves. The functions may wait; they are called for many mails at once.
type Options struct {
	TLS      *tls.Config // offers STARTTLS, or with Implicit speaks TLS from the first byte
	Implicit bool
	Password string                      // of the user "sesame"; "" lets everybody in
	Sender   func(from string) error     // answers MAIL FROM
	Rcpt     func(to string) error       // answers RCPT TO
	Data     func(to, data string) error // answers what was sent
}

// Server is a running mail server.
type Server struct {
	URL     string // smtp://127.0.0.1:…
	Address string
	Options
	server   *smtp.Server
	listener net.Listener
	serving  sync.WaitGroup
	mu       sync.Mutex
	mails    []Mail
}

// Mail is one that the server has taken.
type Mail struct {
	From, To   string // of the envelope
	Header     mail.Header
	Subject    string // decoded
	Text, HTML string
	Raw        string
}

// Start runs a server until the test ends, or Stop.
func Start(t testing.TB, address string, o Options) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", address) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "smtp://" + listener.Addr().String(), Address: listener.Addr().String(), Options: o}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	s.server.AllowInsecureAuth, s.server.EnableSMTPUTF8 = true, true
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	if s.server.TLSConfig = o.TLS; o.Implicit {
		s.URL = "smtps://" + s.Address
		listener = tls.NewListener(listener, o.TLS)
	}
	s.listener = listener
	s.serving.Go(func() { s.server.Serve(listener) }) //nolint:errcheck // ends with Close
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server and every connection.
func (s *Server) Stop() {
	s.server.Close()
	s.listener.Close() // which the server has not taken, if it has just been started
	s.serving.Wait()
}

// Mails gives what was taken so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// session is one connection.
type session struct {
	server   *Server
	in       bool
	from, to string
}

var refused = &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no"}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if s.server.Password != "" && (username != "sesame" || password != s.server.Password) {
			return refused
		}
		s.in = true
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.from = from; s.server.Password != "" && !s.in {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "log in"}
	}
	if s.server.Sender != nil {
		return s.server.Sender(from)
	}
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.to = to; s.server.Rcpt != nil {
		return s.server.Rcpt(to)
	}
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.Data != nil {
		if err = s.server.Data(s.to, string(data)); err != nil {
			return err
		}
	}
	m, err := read(string(data))
	if err != nil {
		return err
	}
	m.From, m.To = s.from, s.to
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, m)
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() {}

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// read takes a mail with two parts apart.
func read(raw string) (m Mail, err error) {
	message, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return m, err
	}
	m.Header, m.Raw = message.Header, raw
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		return m, err
	}
	kind, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return m, errors.Join(err, errors.New("it is no multipart/alternative"))
	}
	parts := multipart.NewReader(message.Body, parameters["boundary"])
	for _, into := range []*string{&m.Text, &m.HTML} {
		part, err := parts.NextPart() // undoes quoted-printable
		if err != nil {
			return m, err
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return m, err
		}
		*into = string(text)
	}
	return m, nil
}
