package config

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"sesame/server/internal/mailer"
	"sesame/server/internal/store"
)

// choices checks every setting whose placeholder lists its values, such as on|off.
func (f *faults) choices(s *Settings) {
	all := reflect.ValueOf(s).Elem()
	for _, field := range reflect.VisibleFields(all.Type()) {
		placeholder := field.Tag.Get("placeholder")
		values := strings.Split(placeholder, "|")
		if len(values) == 1 || strings.ContainsAny(placeholder, ":…") { // forms, such as HOST:PORT|unix:PATH
			continue
		}
		if value := all.FieldByIndex(field.Index).String(); !slices.Contains(values, value) {
			f.add(variableOf(field), "is %q; it must be %s", value, strings.Join(values, " or "))
		}
	}
}

// variableOf returns the name of the variable of a field of the Settings, without the prefix. The parser of the command line knows it
// too, but takes ten times as long to build as all checks together.
func variableOf(field reflect.StructField) string {
	if name := field.Tag.Get("name"); name != "" {
		return strings.TrimPrefix(Variable(name), Prefix)
	}
	var name strings.Builder
	lower := false // the last letter was
	for _, letter := range field.Name {
		if unicode.IsUpper(letter) && lower {
			name.WriteByte('_')
		}
		lower = !unicode.IsUpper(letter)
		name.WriteRune(unicode.ToUpper(letter))
	}
	return name.String()
}

// database checks the settings of the database and of the keys that belong to it.
func (f *faults) database(s *Settings) {
	if reason := store.CheckURL(s.DatabaseURL.Reveal()); reason != "" {
		f.add("DATABASE_URL", "%s", reason)
	} else if _, sqlite := store.SQLitePath(s.DatabaseURL.Reveal()); !sqlite && s.MasterKey.Empty() && s.MasterKeyFile == "" {
		f.add("MASTER_KEY", "is required with PostgreSQL, and every replica must have the same one; create it with: openssl rand -base64 32")
	}
	f.number("DATABASE_CONNECTIONS", s.DatabaseConnections, 0, 1000)
	f.between("DATABASE_CONNECTION_LIFETIME", s.DatabaseConnectionLifetime, time.Minute, 24*time.Hour)
	if !s.MasterKey.Empty() && s.MasterKeyFile != "" {
		f.add("MASTER_KEY", "and %sMASTER_KEY_FILE are both set; set only one", Prefix)
	}
	if !s.SecondMasterKey.Empty() && s.SecondMasterKeyFile != "" {
		f.add("SECOND_MASTER_KEY", "and %sSECOND_MASTER_KEY_FILE are both set; set only one", Prefix)
	}
}

// clients checks the settings of clients that no operator has made.
func (f *faults) clients(s *Settings) {
	hosts := s.ClientDocuments.Items()
	if len(hosts) == 1 && (hosts[0] == "off" || hosts[0] == "any") {
		return
	}
	f.each("CLIENT_DOCUMENTS", s.ClientDocuments, func(host string) string {
		u, err := url.Parse("https://" + host)
		if host == "off" || host == "any" || err != nil || u.Host != host || u.Hostname() == "" || !validPort(u) || strings.ToLower(host) != host ||
			strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '*' }) {
			return "must be a host such as app.example.com, in lower case; off and any stand alone"
		}
		return ""
	})
}

// DocumentHosts returns the hosts whose client ID metadata documents are read: none where they are off. any is true for every host.
func (s *Settings) DocumentHosts() (hosts []string, any bool) {
	switch hosts = s.ClientDocuments.Items(); {
	case len(hosts) == 1 && hosts[0] == "off":
		return nil, false
	case len(hosts) == 1 && hosts[0] == "any":
		return nil, true
	}
	return hosts, false
}

// mails checks the settings of mails, and of the pages that they lead to.
func (f *faults) mails(s *Settings) {
	if !s.MailsToLog() {
		if reason := mailer.CheckURL(s.SMTPURL.Reveal()); reason != "" {
			f.add("SMTP_URL", "%s", reason) // not quoted, since it may contain a password
		}
	}
	if s.MailFrom != "" {
		if reason := mailer.CheckFrom(s.MailFrom); reason != "" {
			f.add("MAIL_FROM", "%s", reason)
		}
	}
	f.page("VERIFY_URL", s.VerifyURL)
	f.page("RESET_URL", s.ResetURL)
	f.page("HOME_URL", s.HomeURL)
}

// maxAudience bounds an audience, as the contract bounds the parameter resource.
const maxAudience = 500

// checkAudience returns why a text cannot be a resource indicator (RFC 8707 §2), or "".
func checkAudience(audience string) string {
	u, err := url.Parse(audience)
	switch {
	case err != nil || !u.IsAbs() || u.Host == "" && u.Opaque == "":
		return "is not an absolute URI such as https://orders.example.com"
	case strings.Contains(audience, "#"):
		return "has a fragment"
	case strings.ContainsFunc(audience, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "has characters that a URI cannot have"
	case len(audience) > maxAudience:
		return "is longer than 500 characters"
	}
	return ""
}
