// Package config holds the settings of the server. Each has a flag, a variable and a default, and
// none needs setting to start. The command line parser (kong) fills Settings in; Check reports all
// that is wrong with it at once.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sesame/server/internal/mailer"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// Prefix begins the name of every variable: --public-url is SESAME_PUBLIC_URL.
const Prefix = "SESAME_"

// Settings are what an operator may choose.
type Settings struct {
	Listen            string      `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on; port 0 takes a free one."`
	PublicURL         string      `placeholder:"URL" help:"Address that clients know the server by: the issuer, and the addresses in the served contract. (default: http:// and the listening address)"`
	DatabaseURL       secret.Text `default:"sqlite:sesame.db" placeholder:"URL" help:"sqlite:FILE (sqlite:/FILE is an absolute path) or postgres://…"`
	MasterKey         secret.Text `placeholder:"BASE64" help:"256 bits in base64 that protect the signing keys in the database. Others on the machine can see a flag: give the variable or the file."`
	MasterKeyFile     string      `placeholder:"FILE" help:"File that holds the master key. (default: beside the SQLite file, made at the first start)"`
	Audience          string      `placeholder:"URL" help:"aud of access tokens: what services that verify them expect. (default: the public URL)"`
	SigningAlg        string      `default:"ES256" placeholder:"ES256|RS256|EdDSA" help:"Algorithm of new signing keys. A change publishes a key of it at the next start of the server; it signs ten minutes later."`
	KeyRotation       Duration    `default:"720h" placeholder:"TIME" help:"How long a signing key signs, 1h at least and no less than the life of an access token; 0 is for ever."`
	AccessTokenTTL    Duration    `default:"10m" name:"access-token-ttl" placeholder:"TIME" help:"Life of an access token, 1m to 24h."`
	RefreshIdleTTL    Duration    `default:"168h" name:"refresh-idle-ttl" placeholder:"TIME" help:"A session that is not refreshed for so long ends."`
	RefreshTTL        Duration    `default:"720h" name:"refresh-ttl" placeholder:"TIME" help:"A session ends so long after the login, even if it is refreshed."`
	RefreshGrace      Duration    `default:"10s" placeholder:"TIME" help:"Time in which a used refresh token may be sent again, up to 5m."`
	Registration      string      `default:"open" placeholder:"open|closed" help:"Whether anyone may register."`
	RegistrationLimit Number      `default:"60" placeholder:"N" help:"Tries to register from one network (an IPv4 address or an IPv6 /64; ten times as many from a /48) in an hour; 0 is no limit. Callers with users:write are not counted."`
	PasswordMinLength Number      `default:"8" placeholder:"N" help:"Characters that a new password must have, 8 to 64; NIST says 15 where a password is the only factor."`
	PasswordHash      string      `default:"argon2id" placeholder:"argon2id|bcrypt" help:"Scheme of new password hashes; hashes of the other one are read, and replaced at the next login."`
	EventRetention    Duration    `default:"2160h" placeholder:"TIME" help:"How long the record of what happened to accounts is kept, 24h to 87600h."`
	SMTPURL           secret.Text `name:"smtp-url" placeholder:"URL" help:"Mail server: smtp://user:password@host:587 (STARTTLS) or smtps://…; others on the machine can see a flag. log: writes mails to the log, links that reset passwords included. (default: log: where only this machine can reach the server; elsewhere it must be set)"`
	MailFrom          string      `placeholder:"ADDRESS" help:"Sender of mails. (default: Sesame <no-reply@HOST>, HOST being that of the public URL)"`
	MailTemplates     string      `placeholder:"FOLDER" help:"Templates of your own for mails. (default: the built-in ones)"`
	VerifyURL         string      `name:"verify-url" placeholder:"URL" help:"Page of yours that mailed links open to confirm an address; the code is added as ?code=…. (default: a page of the server's own)"`
	ResetURL          string      `name:"reset-url" placeholder:"URL" help:"The same, to choose a new password."`
	NewLoginMails     string      `default:"on" placeholder:"on|off" help:"Whether the owner of an account is told by mail of a login from an address that is not known."`
	TrustedProxies    List        `placeholder:"CIDR,…" help:"Networks of your own reverse proxies, whose X-Forwarded-For names the client. (default: none)"`
	CorsOrigins       List        `placeholder:"ORIGIN,…" help:"Origins whose pages may call the server from a browser, such as https://app.example.com. (default: none)"`
	Docs              string      `default:"on" placeholder:"on|off" help:"Whether to serve /docs and /redoc."`
	CheckResponses    string      `default:"off" placeholder:"on|off" help:"Compare every answer with the contract and log what departs from it; for staging."`
	LogFormat         string      `default:"auto" placeholder:"auto|text|json" help:"auto is text on a terminal and json elsewhere."`
	LogLevel          string      `default:"info" placeholder:"debug|info|warn|error" help:"The least that is logged."`

	PasswordBreachList string `placeholder:"FILE" help:"Passwords that are refused as stolen: a file of sorted SHA-1 hashes in the format of Have I Been Pwned."`
}

// Duration is a time.Duration that keeps quiet about a text that it cannot read until Check, so that
// all faults are reported together.
type Duration struct {
	time.Duration
	unread string
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration{Duration: parsed}
	if err != nil {
		d.unread = string(text)
	}
	return nil
}

// Number is an int with the same patience as Duration.
type Number struct {
	Value  int
	unread string
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Number) UnmarshalText(text []byte) error {
	parsed, err := strconv.Atoi(string(text))
	*n = Number{Value: parsed}
	if err != nil {
		n.unread = string(text)
	}
	return nil
}

// String writes the number.
func (n Number) String() string { return strconv.Itoa(n.Value) }

// faults collects sentences about settings.
type faults []error

func (f *faults) add(name, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s%s %s", Prefix, name, fmt.Sprintf(format, args...)))
}

func (f *faults) each(name string, list List, check func(string) string) {
	for _, item := range list.Items() {
		if reason := check(item); reason != "" {
			f.add(name, "has %q, which %s", item, reason)
		}
	}
}

func (f *faults) oneOf(name, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(name, "is %q; it must be %s", value, strings.Join(allowed, " or "))
	}
}

func (f *faults) number(name string, n Number, low, high int) {
	if n.unread != "" || n.Value < low || n.Value > high {
		f.add(name, "must be a number from %d to %d", low, high)
	}
}

func (f *faults) between(name string, d Duration, low, high time.Duration) {
	if d.unread != "" {
		f.add(name, "is %q, which is not a time such as 10m or 168h", d.unread)
	} else if d.Duration < low || d.Duration > high {
		f.add(name, "is %v; it must be from %v to %v", d, low, high)
	}
}

// Check reports every fault of the settings, each with the variable's name and what it may be.
func (s *Settings) Check() error {
	const year = 365 * 24 * time.Hour
	var f faults
	if _, port, err := net.SplitHostPort(s.Listen); err != nil || !isPort(port, 0) {
		f.add("LISTEN", "is %q; it must be HOST:PORT, with a port from 0 to 65535", s.Listen)
	}
	if s.PublicURL != "" {
		if reason := checkPublicURL(s.PublicURL); reason != "" {
			f.add("PUBLIC_URL", "%s", reason)
		}
	}
	if reason := store.CheckURL(s.DatabaseURL.Reveal()); reason != "" {
		f.add("DATABASE_URL", "%s", reason)
	} else if _, sqlite := store.SQLitePath(s.DatabaseURL.Reveal()); !sqlite && s.MasterKey.Empty() && s.MasterKeyFile == "" {
		f.add("MASTER_KEY", "must be given with PostgreSQL, the same for every replica; make one with: openssl rand -base64 32")
	}
	if !s.MasterKey.Empty() && s.MasterKeyFile != "" {
		f.add("MASTER_KEY", "and %sMASTER_KEY_FILE are both given; give one", Prefix)
	}
	f.oneOf("SIGNING_ALG", s.SigningAlg, "ES256", "RS256", "EdDSA")
	if s.KeyRotation.unread != "" || s.KeyRotation.Duration != 0 {
		// A key is kept for the life of its tokens, so the shortest period bounds how many there are.
		f.between("KEY_ROTATION", s.KeyRotation, max(time.Hour, s.AccessTokenTTL.Duration), 10*year)
	}
	f.between("ACCESS_TOKEN_TTL", s.AccessTokenTTL, time.Minute, 24*time.Hour)
	f.between("REFRESH_TTL", s.RefreshTTL, s.AccessTokenTTL.Duration, 10*year)
	f.between("REFRESH_IDLE_TTL", s.RefreshIdleTTL, s.AccessTokenTTL.Duration, 10*year)
	f.between("REFRESH_GRACE", s.RefreshGrace, 0, 5*time.Minute)
	f.between("EVENT_RETENTION", s.EventRetention, 24*time.Hour, 10*year)
	f.oneOf("REGISTRATION", s.Registration, "open", "closed")
	f.number("REGISTRATION_LIMIT", s.RegistrationLimit, 0, 1_000_000) // 0 is no limit
	f.number("PASSWORD_MIN_LENGTH", s.PasswordMinLength, 8, 64)
	f.oneOf("PASSWORD_HASH", s.PasswordHash, "argon2id", "bcrypt")
	if !s.MailsToLog() {
		if reason := mailer.CheckURL(s.SMTPURL.Reveal()); reason != "" {
			f.add("SMTP_URL", "%s", reason) // it may hold a password, so it is not quoted
		}
	}
	if s.MailFrom != "" {
		if reason := mailer.CheckFrom(s.MailFrom); reason != "" {
			f.add("MAIL_FROM", "%s", reason)
		}
	}
	for name, page := range map[string]string{"VERIFY_URL": s.VerifyURL, "RESET_URL": s.ResetURL} {
		if reason := checkPage(page); page != "" && reason != "" {
			f.add(name, "%s", reason)
		}
	}
	f.oneOf("NEW_LOGIN_MAILS", s.NewLoginMails, "on", "off")
	f.each("TRUSTED_PROXIES", s.TrustedProxies, checkNetwork)
	if reason := checkTrust(s.Proxies()); reason != "" {
		f.add("TRUSTED_PROXIES", "%s", reason)
	}
	f.each("CORS_ORIGINS", s.CorsOrigins, checkOrigin)
	f.oneOf("DOCS", s.Docs, "on", "off")
	f.oneOf("CHECK_RESPONSES", s.CheckResponses, "on", "off")
	f.oneOf("LOG_FORMAT", s.LogFormat, "auto", "text", "json")
	f.oneOf("LOG_LEVEL", s.LogLevel, "debug", "info", "warn", "error")
	return errors.Join(f...)
}

// checkPublicURL takes http and https addresses without anything behind the path. A slash at the
// end is refused too: the issuer is compared to the byte, and others will write it without.
func checkPublicURL(text string) (reason string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "must be an address such as https://login.example.com"
	case !validPort(u):
		return "has a port that is not from 1 to 65535"
	case !strings.HasPrefix(text, u.Scheme+"://"):
		return "must begin with " + u.Scheme + ":// in small letters"
	case strings.ContainsAny(text, "?# ") || u.User != nil:
		return "must have no user, query, fragment or space"
	case strings.HasSuffix(text, "/"):
		return "must not end with a slash"
	}
	return ""
}

// checkPage takes the address of a page that a code is added to.
func checkPage(text string) (reason string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		return "must be the address of a page, such as https://app.example.com/reset"
	case !validPort(u):
		return "has a port that is not from 1 to 65535"
	case u.Query().Has("code"):
		return "must not have the parameter code, which is added to it"
	}
	return ""
}

// InForce gives the settings with those filled in that follow from others: the public URL from the
// address that is listened on, the audience, mailed links and the sender of mails from the public URL, and the
// master key's file from the database's.
func (s Settings) InForce(listening string) Settings {
	if s.PublicURL == "" {
		host, port, _ := net.SplitHostPort(listening) // checked before
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		s.PublicURL = "http://" + net.JoinHostPort(host, port)
	}
	if s.Audience == "" {
		s.Audience = s.PublicURL
	}
	s.VerifyURL = cmp.Or(s.VerifyURL, s.PublicURL+"/confirm-email")
	s.ResetURL = cmp.Or(s.ResetURL, s.PublicURL+"/reset-password")
	if s.MailFrom == "" {
		s.MailFrom = "Sesame <no-reply@" + mailHost(s.PublicURL) + ">"
	}
	if file, ok := store.SQLitePath(s.DatabaseURL.Reveal()); ok && s.MasterKey.Empty() && s.MasterKeyFile == "" {
		s.MasterKeyFile = file + ".key"
	}
	return s
}

// mailHost is the host of an address, where that is a name that mails can come from.
func mailHost(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || net.ParseIP(u.Hostname()) != nil || mailer.CheckFrom("no-reply@"+u.Hostname()) != "" {
		return "localhost"
	}
	return u.Hostname()
}

// logMails is the SMTPURL by which an operator chooses to have mails in the log.
const logMails = "log:"

// MailsToLog reports whether mails are written to the log instead of being sent.
func (s *Settings) MailsToLog() bool {
	return s.SMTPURL.Empty() || s.SMTPURL.Reveal() == logMails
}

// CheckReach returns an error where people beyond this machine can reach a server whose mails, with the links
// that reset passwords, would end in its log though nobody has asked for that.
func (s *Settings) CheckReach() error {
	if !s.SMTPURL.Empty() || s.Loopback() {
		return nil
	}
	return fmt.Errorf("%sSMTP_URL is not set, and people beyond this machine can reach the server (%s); "+
		"set it to your mail server, smtp://user:password@host:587, or to %s to have every mail in the log, "+
		"links that reset passwords included", Prefix, s.Reach(), logMails)
}

// Loopback reports whether only this machine can reach the server: whether both the listening address and
// the public URL, if it is set, are loopback addresses. Behind a proxy the first alone says nothing.
func (s *Settings) Loopback() bool { return s.Reach() == "" }

// Reach names the setting by which others than this machine can reach the server, or "".
func (s *Settings) Reach() string {
	if host, _, err := net.SplitHostPort(s.Listen); err != nil || !isLoopback(host) {
		return fmt.Sprintf("%sLISTEN is %s", Prefix, s.Listen)
	}
	if u, err := url.Parse(s.PublicURL); s.PublicURL != "" && (err != nil || !isLoopback(u.Hostname())) {
		return fmt.Sprintf("%sPUBLIC_URL is %s", Prefix, s.PublicURL)
	}
	return ""
}

// Plain reports whether passwords and tokens of people beyond this machine cross the network unencrypted, as
// far as the settings say.
func (s *Settings) Plain() bool {
	return !strings.HasPrefix(s.PublicURL, "https://") && !s.Loopback()
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// isPort reports whether a text is the number of a port.
func isPort(text string, least uint64) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port >= least
}

// validPort reports whether a URL has a port that can be connected to, or none. url.Parse takes any number.
func validPort(u *url.URL) bool {
	return isPort(u.Port(), 1) || u.Port() == "" && !strings.HasSuffix(u.Host, ":")
}
