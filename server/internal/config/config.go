// Package config holds the settings of the server. Each has a flag, a variable and a default, and none needs to be set.
//
// The command line parser (kong) fills Settings in, from flags and from variables (Variables). FromEnv does the same for
// a program that has no flags. Check reports every invalid setting at once; InForce fills in the defaults
// that follow from other settings.
package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sesame/server/internal/mailer"
	"sesame/server/internal/store"
	"sesame/server/internal/tracing"
	"sesame/server/secret"
)

// Prefix is the prefix of every variable: SESAME_PUBLIC_URL sets --public-url.
const Prefix = "SESAME_"

// Settings are the choices of an operator. The help text of a field is its documentation; its variable is the name of its
// flag in capitals after SESAME_. The zero value is not valid: FromEnv(nil) returns the defaults.
type Settings struct {
	// The addresses of the server, its database and its keys.

	Listen                     string      `default:"127.0.0.1:8080" placeholder:"HOST:PORT|unix:PATH" help:"Address to listen on. With port 0 the system chooses a free port. unix: is followed by the path of a socket, which your proxy connects to: its X-Forwarded-For is trusted, and its user must be in the group of the file."`
	PublicURL                  string      `placeholder:"URL" help:"URL by which clients reach the server. It is the issuer of tokens and the base of the URLs in the served contract. (default: http:// or https://, and the listening address)"`
	DatabaseURL                secret.Text `default:"sqlite:sesame.db" placeholder:"URL" help:"sqlite:FILE (sqlite:/FILE for an absolute path) or postgres://…"`
	DatabaseConnections        Number      `default:"0" placeholder:"N" help:"Maximum number of connections to PostgreSQL, up to 1000. 0 means four for each core, from 10 to 40."`
	DatabaseConnectionLifetime Duration    `default:"1h" placeholder:"TIME" help:"A connection to PostgreSQL is replaced after this long, so that connections spread again after a failover, 1m to 24h."`
	MasterKey                  secret.Text `placeholder:"BASE64" help:"256 bits in base64 that encrypt the signing keys in the database. Other users of the machine can read flags, so set the variable or use a file."`
	MasterKeyFile              string      `placeholder:"FILE" help:"File that holds the master key. (default: a file beside the SQLite database, created at the first start)"`
	SecondMasterKey            secret.Text `placeholder:"BASE64" help:"Second master key, while you replace the first: the server accepts what either has made, and uses only the first for what is new. (default: none)"`
	SecondMasterKeyFile        string      `placeholder:"FILE" help:"File that holds the second master key. (default: none)"`
	Audience                   string      `placeholder:"URL" help:"Audience (aud) of access tokens, which the services that verify them must expect. (default: the public URL)"`
	Audiences                  List        `placeholder:"URI,…" help:"Further audiences: services with access tokens of their own, which no other service accepts. A client asks for one with the parameter resource (RFC 8707). (default: none)"`
	IDTokenAlg                 string      `name:"id-token-alg" default:"RS256" placeholder:"RS256|ES256|EdDSA" help:"Algorithm of new keys of ID tokens. Every client of OpenID Connect knows RS256; ES256 is faster."`
	SigningAlg                 string      `default:"ES256" placeholder:"ES256|RS256|EdDSA" help:"Algorithm of new signing keys. After a change, the next start publishes a key for the new algorithm, which signs ten minutes later."`
	KeyRotation                Duration    `default:"720h" placeholder:"TIME" help:"How long a key signs before the next one replaces it: at least 1h, and at least the lifetime of an access token. 0 disables the rotation."`
	BootstrapFile              string      `placeholder:"FILE" help:"YAML file of accounts and service clients that the server creates at its start if they do not exist. (default: none)"`
	TLSCert                    string      `name:"tls-cert" placeholder:"FILE" help:"Certificate and its chain in PEM: the server speaks HTTPS itself. It loads the files again when they change. (default: none; a proxy in front speaks HTTPS)"`
	TLSKey                     string      `name:"tls-key" placeholder:"FILE" help:"Private key of the certificate in PEM. Only the user of the server and the group of the file may have access to it."`
	ACME                       string      `name:"acme" default:"off" placeholder:"on|off" help:"Whether the server gets the certificate of the public URL's host from a certification authority by ACME, renews it, and speaks HTTPS itself. With on, you agree to the authority's terms of service."`
	ACMEDirectory              string      `name:"acme-directory" default:"https://acme-v02.api.letsencrypt.org/directory" placeholder:"URL" help:"Directory of the certification authority. The default is that of Let's Encrypt."`
	RedirectListen             string      `placeholder:"HOST:PORT" help:"Address, usually 0.0.0.0:80, at which a server that speaks HTTPS itself redirects plain HTTP to the public URL, and answers the challenges of ACME. (default: none)"`
	TrustedProxies             List        `placeholder:"CIDR,…" help:"Networks of your reverse proxies. The server reads the client's IP address from the X-Forwarded-For header that they send. (default: none)"`
	CorsOrigins                List        `placeholder:"ORIGIN,…" help:"Origins whose pages may call the server from a browser, such as https://app.example.com. (default: none)"`

	DrainTime Duration `default:"5s" placeholder:"TIME" help:"How long a server that was told to stop goes on answering while /readyz is 503, so that load balancers send requests elsewhere; up to 5m. Not used if only this machine can reach the server."`

	// The lifetime of tokens and sessions.

	AccessTokenTTL Duration `default:"10m" name:"access-token-ttl" placeholder:"TIME" help:"Lifetime of an access token, 1m to 24h."`
	RefreshIdleTTL Duration `default:"168h" name:"refresh-idle-ttl" placeholder:"TIME" help:"A session expires when it has not been refreshed for this long."`
	RefreshTTL     Duration `default:"720h" name:"refresh-ttl" placeholder:"TIME" help:"A session expires this long after the login, even if it is refreshed."`
	RefreshGrace   Duration `default:"10s" placeholder:"TIME" help:"How long a client may retry with a refresh token that it has already used, up to 5m."`

	// Accounts and passwords.

	Registration        string `default:"open" placeholder:"open|closed" help:"Whether anyone may register."`
	RegistrationLimit   Number `default:"60" placeholder:"N" help:"Maximum number of registrations per hour from one network: an IPv4 address or an IPv6 /64, and ten times as many from a /48. 0 disables the limit. Callers with the scope users:write are not counted."`
	SignInUnconfirmed   string `default:"on" placeholder:"on|off" help:"Whether people may log in before they have confirmed their email address. off refuses accounts without an address, too, and registrations without one."`
	PrivateProviders    string `default:"off" placeholder:"on|off" help:"Whether people may sign in through providers at private network addresses, such as a Keycloak in your own network, and through providers that speak plain http. Requests to providers then use the proxy of HTTPS_PROXY, too."`
	PrivateWebhooks     string `default:"off" placeholder:"on|off" help:"Whether webhooks may be sent to private network addresses, such as a receiver in your own network, and by plain http. They then use the proxy of HTTPS_PROXY, too."`
	DynamicRegistration string `default:"off" placeholder:"off|open" help:"Whether applications may register themselves (RFC 7591), such as those of the Model Context Protocol. People are asked whether they agree to what such an application may do."`
	ClientDocuments     List   `default:"off" placeholder:"off|any|HOST,…" help:"Hosts of client ID metadata documents: an application whose client_id is the https URL of such a document needs no registration. The server reads the document from the host. any accepts every public host."`

	PrivateClientDocuments string `default:"off" placeholder:"on|off" help:"Whether the hosts of client ID metadata documents may be at private network addresses."`
	UnverifiedClientScopes List   `placeholder:"SCOPE,…" help:"Scopes that applications which no operator has made may ask people for, beside openid, profile and email. (default: none)"`

	MagicLinks          string   `default:"off" placeholder:"on|off" help:"Whether people may sign in with a link that is mailed to their confirmed email address. It counts as one factor."`
	PasswordMinLength   Number   `default:"8" placeholder:"N" help:"Minimum number of characters of a new password, 8 to 64. NIST recommends 15 where the password is the only factor."`
	PasswordHash        string   `default:"argon2id" placeholder:"argon2id|bcrypt" help:"Scheme of new password hashes. Hashes of the other scheme remain valid and are replaced at the next login."`
	PasswordBreachList  string   `placeholder:"FILE" help:"File of stolen passwords to refuse: sorted SHA-1 hashes in the format of Have I Been Pwned. (default: none)"`
	RequireSecondFactor string   `default:"nobody" placeholder:"nobody|administrators|everybody" help:"Accounts that must have a second factor. Until the end of the grace they may sign in without one."`
	SecondFactorGrace   Duration `default:"168h" placeholder:"TIME" help:"How long an account that must have a second factor may sign in without one, up to 2160h: from its creation, from the grant of an administrator's scope, or from the first start with the setting, whichever is latest. 0 means not at all."`
	EventRetention      Duration `default:"2160h" placeholder:"TIME" help:"How long the security events of accounts are kept, 24h to 87600h."`

	// Mails.

	SMTPURL       secret.Text `name:"smtp-url" placeholder:"URL" help:"Mail server: smtp://user:password@host:587 (STARTTLS) or smtps://…. Other users of the machine can read flags, so set the variable. log: writes mails to the log, including the links that reset passwords. (default: log: if only this machine can reach the server; otherwise required)"`
	MailFrom      string      `placeholder:"ADDRESS" help:"Sender of mails. (default: Sesame <no-reply@HOST>, with the host of the public URL)"`
	MailTemplates string      `placeholder:"FOLDER" help:"Folder of your own mail templates. (default: the built-in templates)"`
	VerifyURL     string      `name:"verify-url" placeholder:"URL" help:"Your page that confirms an email address. Mailed links open it with ?code=… added. (default: a page of the server)"`
	ResetURL      string      `name:"reset-url" placeholder:"URL" help:"Your page that sets a new password. Mailed links open it with ?code=… added. (default: a page of the server)"`
	HomeURL       string      `name:"home-url" placeholder:"URL" help:"Page that the server's own pages lead back to: your application. (default: the public URL)"`
	NewLoginMails string      `default:"on" placeholder:"on|off" help:"Whether to mail the owner of an account after a login from an unknown IP address."`

	// Pages.

	LogoFile      string `placeholder:"FILE" help:"Logo on the pages for people: an image .svg, .png, .jpg or .webp of at most 256 KB. (default: none)"`
	AccentColor   string `placeholder:"#RRGGBB" help:"Color of the buttons and links on the pages. The text on it is white or black, whichever can be read. (default: #1257b8)"`
	PageTemplates string `placeholder:"FOLDER" help:"Folder of your own page templates, style.css, and texts in further languages. (default: the built-in ones)"`

	// Administration, documentation and diagnostics.

	Admin          string `default:"on" placeholder:"on|off" help:"Whether to serve the administrator's page at /admin."`
	Docs           string `default:"on" placeholder:"on|off" help:"Whether to serve /docs and /redoc."`
	MetricsListen  string `placeholder:"HOST:PORT" help:"Address at which Prometheus reads /metrics and, if only this machine can reach it, go tool pprof reads /debug/pprof/. (default: none)"`
	MetricsRemote  string `default:"off" placeholder:"on|off" help:"Whether other machines may reach the address of the metrics, which anyone who reaches it can read. Profiles are then not served."`
	CheckResponses string `default:"off" placeholder:"on|off" help:"Whether to compare each answer with the contract and to log the differences; for staging."`
	EventLog       string `placeholder:"FILE" help:"File, or stdout, to which the events of accounts, clients and keys are written as they happen, one line of JSON each, as GET /events shows them. After SIGHUP the file is opened again. (default: none; the database has them in any case)"`
	LogFormat      string `default:"auto" placeholder:"auto|text|json" help:"Format of the log. auto is text on a terminal and json elsewhere."`
	LogLevel       string `default:"info" placeholder:"debug|info|warn|error" help:"Lowest level that is logged. SIGUSR1 switches debug lines on and off."`

	// Traces are the variables of OpenTelemetry, which have no flags.
	Traces tracing.Environment `kong:"-"`

	// sources says where the settings come from, by their flags; see List.
	sources map[string]Source `kong:"-"`
}

// Duration is a time.Duration that keeps a text that it cannot parse until Check, which reports all
// invalid settings together.
type Duration struct {
	time.Duration
	invalid string
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration{Duration: parsed}
	if err != nil {
		d.invalid = string(text)
	}
	return nil
}

// Number is an int that, like Duration, reports a text that it cannot parse in Check.
type Number struct {
	Value   int
	invalid string
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Number) UnmarshalText(text []byte) error {
	parsed, err := strconv.Atoi(string(text))
	*n = Number{Value: parsed}
	if err != nil {
		n.invalid = string(text)
	}
	return nil
}

// String writes the number.
func (n Number) String() string { return strconv.Itoa(n.Value) }

// faults collects one error for each invalid setting.
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

func (f *faults) number(name string, n Number, low, high int) {
	if n.invalid != "" || n.Value < low || n.Value > high {
		f.add(name, "must be a number from %d to %d", low, high)
	}
}

func (f *faults) between(name string, d Duration, low, high time.Duration) {
	if d.invalid != "" {
		f.add(name, "is %q; it must be a duration such as 10m or 168h", d.invalid)
	} else if d.Duration < low || d.Duration > high {
		f.add(name, "is %v; it must be from %v to %v", d, low, high)
	}
}

func (f *faults) page(name, page string) {
	if reason := checkPage(page); page != "" && reason != "" {
		f.add(name, "%s", reason)
	}
}

// colors are the values of AccentColor.
var colors = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// Check reports every invalid setting, with the name of its variable and the values that are allowed.
func (s *Settings) Check() error {
	const year = 365 * 24 * time.Hour
	var f faults
	if reason := s.checkListen(); reason != "" {
		f.add("LISTEN", "%s", reason)
	}
	if s.PublicURL != "" {
		if reason := checkPublicURL(s.PublicURL); reason != "" {
			f.add("PUBLIC_URL", "%s", reason)
		}
	}
	f.choices(s)
	f.https(s)
	f.database(s)
	f.each("AUDIENCES", s.Audiences, checkAudience)
	if s.KeyRotation.invalid != "" || s.KeyRotation.Duration != 0 {
		// A key stays published until its last token expires, so the shortest period bounds the number of keys.
		f.between("KEY_ROTATION", s.KeyRotation, max(time.Hour, s.AccessTokenTTL.Duration), 10*year)
	}
	f.between("ACCESS_TOKEN_TTL", s.AccessTokenTTL, time.Minute, 24*time.Hour)
	f.between("REFRESH_TTL", s.RefreshTTL, s.AccessTokenTTL.Duration, 10*year)
	f.between("REFRESH_IDLE_TTL", s.RefreshIdleTTL, s.AccessTokenTTL.Duration, 10*year)
	f.between("DRAIN_TIME", s.DrainTime, 0, 5*time.Minute)
	f.between("REFRESH_GRACE", s.RefreshGrace, 0, 5*time.Minute)
	f.between("EVENT_RETENTION", s.EventRetention, 24*time.Hour, 10*year)
	f.between("SECOND_FACTOR_GRACE", s.SecondFactorGrace, 0, 90*24*time.Hour)
	f.clients(s)
	f.number("REGISTRATION_LIMIT", s.RegistrationLimit, 0, 1_000_000)
	f.number("PASSWORD_MIN_LENGTH", s.PasswordMinLength, 8, 64)
	f.mails(s)
	if s.AccentColor != "" && !colors.MatchString(s.AccentColor) {
		f.add("ACCENT_COLOR", "is %q; it must be a color such as #1257b8", s.AccentColor)
	}
	f.each("TRUSTED_PROXIES", s.TrustedProxies, checkNetwork)
	if reason := checkTrust(s.Proxies()); reason != "" {
		f.add("TRUSTED_PROXIES", "%s", reason)
	}
	f.each("CORS_ORIGINS", s.CorsOrigins, checkOrigin)
	if reason := s.checkMetricsListen(); reason != "" {
		f.add("METRICS_LISTEN", "%s", reason)
	}
	if _, err := s.Traces.Options(); err != nil {
		f = append(f, err)
	}
	return errors.Join(f...)
}

// InForce returns the settings with the derived defaults filled in: the public URL from the address that the server
// listens on; the audience, the links of mails and pages and the sender of mails from the public URL; the file of the master key
// from the file of the database.
func (s Settings) InForce(listening string) Settings {
	s.sources = maps.Clone(s.sources)
	if s.sources == nil {
		s.sources = map[string]Source{}
	}
	derive := func(flag string, setting *string, value string) {
		if *setting == "" {
			*setting, s.sources[flag] = value, Default
		}
	}
	host, port, _ := net.SplitHostPort(listening) // Check has validated it
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	derive("public-url", &s.PublicURL, s.Scheme()+"://"+net.JoinHostPort(host, port))
	derive("audience", &s.Audience, s.PublicURL)
	derive("verify-url", &s.VerifyURL, s.PublicURL+"/confirm-email")
	derive("reset-url", &s.ResetURL, s.PublicURL+"/reset-password")
	derive("home-url", &s.HomeURL, s.PublicURL+"/")
	derive("mail-from", &s.MailFrom, defaultSender+" <no-reply@"+mailHost(s.PublicURL)+">")
	if file, ok := store.SQLitePath(s.DatabaseURL.Reveal()); ok && s.MasterKey.Empty() {
		derive("master-key-file", &s.MasterKeyFile, file+".key")
	}
	return s
}

// defaultSender is the name in MailFrom if the operator chooses none.
const defaultSender = "Sesame"

// ServiceName is the name of the service for people: that of the sender of its mails or, where the operator has chosen none,
// the title of its contract.
func (s *Settings) ServiceName(title string) string {
	if from, err := mail.ParseAddress(s.MailFrom); err == nil && from.Name != "" && from.Name != defaultSender {
		return from.Name
	}
	return title
}

// mailHost is the host of a URL if mails can come from it, and localhost otherwise.
func mailHost(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || net.ParseIP(u.Hostname()) != nil || mailer.CheckFrom("no-reply@"+u.Hostname()) != "" {
		return "localhost"
	}
	return u.Hostname()
}

// logMails is the SMTPURL that writes mails to the log.
const logMails = "log:"

// MailsToLog reports whether the server writes mails to the log instead of sending them.
func (s *Settings) MailsToLog() bool {
	return s.SMTPURL.Empty() || s.SMTPURL.Reveal() == logMails
}

// EventsToStdout reports whether events go to standard output in place of a file.
func (s *Settings) EventsToStdout() bool { return s.EventLog == "stdout" }

// CheckReach returns an error if other machines can reach the server and SMTPURL is not set: the server would write links
// that reset passwords to its log without the operator having chosen that.
func (s *Settings) CheckReach() error {
	if !s.SMTPURL.Empty() || s.Loopback() {
		return nil
	}
	return fmt.Errorf("%sSMTP_URL is not set, and other machines can reach the server (%s); "+
		"set it to your mail server, smtp://user:password@host:587, or to %s to write every mail to the log, "+
		"including links that reset passwords", Prefix, s.Reach(), logMails)
}

// Loopback reports whether only this machine can reach the server: both the listening address and the public URL, if
// it is set, must be loopback addresses, because a proxy makes a loopback listener public.
func (s *Settings) Loopback() bool { return s.Reach() == "" }

// Reach names the setting through which other machines can reach the server, or returns "".
func (s *Settings) Reach() string {
	_, socket := s.Socket()
	if host, _, err := net.SplitHostPort(s.Listen); !socket && (err != nil || !isLoopback(host)) {
		return fmt.Sprintf("%sLISTEN is %s", Prefix, s.Listen)
	}
	if u, err := url.Parse(s.PublicURL); s.PublicURL != "" && (err != nil || !isLoopback(u.Hostname())) {
		return fmt.Sprintf("%sPUBLIC_URL is %s", Prefix, s.PublicURL)
	}
	return ""
}

// Plain reports whether, according to the settings, passwords and tokens cross the network unencrypted.
func (s *Settings) Plain() bool {
	return !strings.HasPrefix(s.PublicURL, "https://") && !s.Loopback()
}
