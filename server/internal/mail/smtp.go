package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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

// stepTime is what the mail server gets for each step: to take the connection and let us in, to take the
// mail. The context bounds them all together.
const stepTime = 10 * time.Second

var errAddress = fmt.Errorf("the address is none that can be written to: %w", ErrPermanent)

// SMTP is the Sender for a mail server (RFC 5321). It opens a connection for each mail.
type SMTP struct {
	from    *mail.Address
	host    string
	address string
	secure  bool // TLS from the first byte
	options []gomail.Option
}

// NewSMTP makes an SMTP from an address that CheckURL and a sender that CheckFrom found good.
func NewSMTP(address secret.Text, from string) (*SMTP, error) {
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, errors.New("the sender is not an address")
	}
	u, tlsMode, reason := parseURL(address.Reveal())
	if reason != "" {
		return nil, errors.New("the address of the mail server " + reason)
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
		if tlsMode == "off" { // the operator's word that nobody listens
			plain, login = gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc
		}
		s.options = append(s.options, gomail.WithUsername(u.User.Username()), gomail.WithPassword(password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, plain, login))
	}
	return s, nil
}

// CheckURL says why a text is not the address of a mail server, or nothing. It does not quote it: it may
// hold a password.
func CheckURL(text string) (reason string) {
	_, _, reason = parseURL(text)
	return reason
}

// parseURL finds the address and how it is protected: "implicit" for smtps; for smtp "starttls", without
// which nothing is sent, or "off", which a loopback address has unless it says otherwise.
func parseURL(text string) (u *url.URL, tlsMode, reason string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, "", "must be smtp://user:password@host:587 or smtps://user:password@host:465, with % codes for what is not a letter or digit in user and password"
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return nil, "", "has a port that is none"
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

// Send implements Sender. It ends with the context, whatever the mail server does.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	message, err := s.compose(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var closing sync.WaitGroup // the closing of each connection, which the end of the context begins
	defer closing.Wait()
	defer cancel()
	dial := func(connecting context.Context, network, _ string) (net.Conn, error) {
		conn, err := s.dial(connecting, network)
		if err == nil {
			// The library looks at the context while it connects, and closes not every connection.
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
	defer client.CloseWithSMTPClient(connection) //nolint:errcheck // the mail is taken by then, or it is not
	err = client.SendWithSMTPClient(connection, message)
	if message.IsDelivered() { // whatever came after it
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

// connectError tells of the time before the mail server knew of a mail: nothing of it is in what it
// said. Only its code is kept nevertheless, for it knows the password.
func connectError(err error) error {
	if said, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Errorf("the mail server does not let us in: it says %d", said.Code)
	}
	return fmt.Errorf("the mail server cannot be reached: %w", err)
}

// sendError keeps of what the mail server said the codes (RFC 5321 §4.2, RFC 3463): its text may repeat
// the mail, a link included. What it says to the recipient and to the content with 5xx is for good; what
// it says to the sender is for the operator to mend.
func sendError(err error) error {
	e, ok := errors.AsType[*gomail.SendError](err)
	if !ok || e.ErrorCode() == 0 {
		step := "sending"
		if ok {
			step = e.Reason.String()
		}
		return errors.New("the mail server was lost while " + step)
	}
	said := strings.TrimSpace(fmt.Sprintf("%d %s", e.ErrorCode(), e.EnhancedStatusCode()))
	told := fmt.Errorf("the mail server says %s while %s", said, e.Reason)
	if e.ErrorCode() >= 500 && e.Reason != gomail.ErrSMTPMailFrom {
		return fmt.Errorf("%w: %w", told, ErrPermanent)
	}
	return told
}
