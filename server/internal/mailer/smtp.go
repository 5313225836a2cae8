package mailer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"sesame/server/secret"
)

// stepTime bounds each step: connecting and authenticating, and sending the mail. The context bounds all of them.
const stepTime = 10 * time.Second

var errAddress = fmt.Errorf("the address of the recipient is invalid: %w", ErrPermanent)

// SMTP is the Sender for a mail server (RFC 5321). It opens a connection for each mail.
type SMTP struct {
	from    *mail.Address
	host    string
	address string
	secure  bool // TLS from the first byte
	options []gomail.Option
}

// NewSMTP makes an SMTP for a URL that CheckURL accepts and a sender that CheckFrom accepts.
func NewSMTP(address secret.Text, from string) (*SMTP, error) {
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, errors.New("the sender is not a valid address")
	}
	u, tlsMode, reason := parseURL(address.Reveal())
	if reason != "" {
		return nil, errors.New("the URL of the mail server " + reason)
	}
	s := &SMTP{from: sender, host: u.Hostname(), address: u.Host, secure: tlsMode == "implicit"}
	if u.Port() == "" {
		port := "587"
		if s.secure {
			port = "465"
		}
		s.address = net.JoinHostPort(s.host, port)
	}
	policy := gomail.NoTLS
	if tlsMode == "starttls" {
		policy = gomail.TLSMandatory
	}
	s.options = []gomail.Option{gomail.WithTimeout(stepTime), gomail.WithTLSPolicy(policy)}
	if u.User != nil {
		password, _ := u.User.Password()
		plain, login := gomail.SMTPAuthPlain, gomail.SMTPAuthLogin
		if tlsMode == "off" { // the operator has declared the connection private
			plain, login = gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc
		}
		s.options = append(s.options, gomail.WithUsername(u.User.Username()), gomail.WithPassword(password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, plain, login))
	}
	return s, nil
}

// CheckURL returns why a text is not the URL of a mail server, or "". It does not quote the text, which may hold a
// password.
func CheckURL(text string) (reason string) {
	_, _, reason = parseURL(text)
	return reason
}

// parseURL returns the URL and how the connection is protected: "implicit" for smtps; for smtp "starttls", without
// which nothing is sent, or "off", the default for a loopback address.
func parseURL(text string) (u *url.URL, tlsMode, reason string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, "", "must be smtp://user:password@host:587 or smtps://user:password@host:465; in user and password, write everything but letters and digits as % codes"
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return nil, "", "has an invalid port"
	}
	if password, _ := u.User.Password(); u.User != nil && (u.User.Username() == "" || password == "") {
		return nil, "", "must have a user and a password, or neither"
	}
	query := u.Query()
	tlsMode = query.Get("tls")
	query.Del("tls")
	switch {
	case len(query) > 0 || tlsMode != "" && (u.Scheme == "smtps" || tlsMode != "starttls" && tlsMode != "off"):
		return nil, "", "may end with ?tls=off or ?tls=starttls, after smtp:// alone"
	case u.Scheme == "smtps":
		return u, "implicit", ""
	case tlsMode != "":
		return u, tlsMode, ""
	case isLoopback(u.Hostname()):
		return u, "off", ""
	}
	return u, "starttls", ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send implements Sender. It returns when ctx ends, whatever the mail server does.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	message, err := s.compose(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var closing sync.WaitGroup // one for each connection, which is closed when the context ends
	defer closing.Wait()
	defer cancel()
	dial := func(connecting context.Context, network, _ string) (net.Conn, error) {
		conn, err := s.dial(connecting, network)
		if err == nil {
			// The library checks the context only while it connects, and does not close every connection.
			closing.Add(1)
			context.AfterFunc(ctx, func() {
				defer closing.Done()
				conn.Close()
			})
		}
		return conn, err
	}
	client, err := gomail.NewClient(s.host, append(slices.Clip(s.options), gomail.WithDialContextFunc(dial))...)
	if err != nil {
		return err
	}
	connection, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return connectError(err)
	}
	defer client.CloseWithSMTPClient(connection) //nolint:errcheck // the outcome is known by then
	err = client.SendWithSMTPClient(connection, message)
	if message.IsDelivered() { // whatever failed after it
		return nil
	}
	return sendError(err)
}

func (s *SMTP) dial(ctx context.Context, network string) (net.Conn, error) {
	if s.secure {
		return (&tls.Dialer{Config: &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}}).DialContext(ctx, network, s.address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, s.address)
}

func (s *SMTP) compose(m Message) (*gomail.Msg, error) {
	to, err := recipient(m.To)
	if err != nil {
		return nil, err
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(s.from)
	message.ToMailAddress(to)
	message.Subject(m.Subject)
	message.SetDate()
	message.SetMessageIDWithValue(m.ID + s.from.Address[strings.LastIndex(s.from.Address, "@"):])
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	message.SetBodyString(gomail.TypeTextPlain, m.Text.Reveal())
	message.AddAlternativeString(gomail.TypeTextHTML, m.HTML.Reveal())
	return message, nil
}

// connectError describes a failure before the mail was sent, so the server's reply cannot quote it. Only the code is
// kept all the same, since the reply might quote the password. Errors of the library quote replies that are none of SMTP.
func connectError(err error) error {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Errorf("the mail server refused the connection or the credentials: reply code %d", reply.Code)
	}
	_, malformed := errors.AsType[textproto.ProtocolError](err)
	if !malformed && !strings.HasPrefix(err.Error(), "SMTP AUTH failed") {
		return fmt.Errorf("the mail server cannot be reached: %w", err)
	}
	if cause, ok := errors.AsType[net.Error](err); ok {
		return fmt.Errorf("the connection to the mail server was lost: %w", cause)
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the mail server closed the connection before it accepted a mail")
	}
	return errors.New("the mail server sent a reply that SMTP does not allow; check the host and the port of the address")
}

// sendError keeps only the codes of the server's reply (RFC 5321 §4.2, RFC 3463): its text may quote the mail, link
// included. A 5xx reply to the recipient or to the content is permanent; one to the sender is for the operator to fix.
func sendError(err error) error {
	e, ok := errors.AsType[*gomail.SendError](err)
	if !ok || e.ErrorCode() == 0 {
		step := "sending"
		if ok {
			step = e.Reason.String()
		}
		return errors.New("the connection to the mail server was lost while " + step)
	}
	codes := strings.TrimSpace(fmt.Sprintf("%d %s", e.ErrorCode(), e.EnhancedStatusCode()))
	reply := fmt.Errorf("the mail server replied %s while %s", codes, e.Reason)
	if e.ErrorCode() >= 500 && e.Reason != gomail.ErrSMTPMailFrom {
		return fmt.Errorf("%w: %w", reply, ErrPermanent)
	}
	return reply
}
