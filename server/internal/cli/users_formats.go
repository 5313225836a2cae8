package cli

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sesame/server/internal/account"
	"sesame/server/secret"
)

const timeFormat = time.RFC3339Nano

// fields are the columns of a record, as text. A null column is "".
type fields map[string]string

// mapping reads an account from the columns of an application's user table.
type mapping struct {
	columns  []string // required, and the first one identifies the account
	optional []string // read if present
	foreign  bool     // other columns are ignored; in our own format they are an error, since they may be mistyped
	hash     string   // the column of the password hash, which errors name
	document bool     // JSON is one document, and not lines
	header   []string // the columns of CSV, if it is written without a header
	flatten  func(map[string]any) (flat map[string]any, isAccount bool)
	read     func(fields) (account.ImportedUser, *account.Refusal)
}

// mappings are the values of --from.
var mappings = map[string]mapping{
	"sesame": {
		columns:  []string{"username"},
		optional: []string{"email", "email_verified", "full_name", "disabled", "password_hash", "scopes", "user_metadata", "created_at"},
		hash:     "password_hash",
		read: func(f fields) (account.ImportedUser, *account.Refusal) {
			u := account.ImportedUser{Username: f["username"], Email: f["email"], FullName: f["full_name"], Scopes: strings.Fields(f["scopes"]), Metadata: f["user_metadata"]}
			refusal := f.fill(&u, "password_hash", "created_at", flag{"disabled", &u.Disabled}, flag{"email_verified", &u.EmailVerified})
			return u, refusal
		},
	},
	// https://github.com/fastapi/full-stack-fastapi-template: people log in by address.
	"fastapi-template": {
		columns:  []string{"email", "hashed_password"},
		optional: []string{"full_name", "is_active", "created_at"},
		foreign:  true, hash: "hashed_password",
		read: func(f fields) (account.ImportedUser, *account.Refusal) {
			u := account.ImportedUser{Login: f["email"], Email: f["email"], FullName: f["full_name"], EmailVerified: true}
			return f.fillActive(u, "hashed_password", "created_at", "is_active")
		},
	},
	// https://github.com/fastapi-users/fastapi-users: people log in by address, which may be verified or not.
	"fastapi-users": {
		columns:  []string{"email", "hashed_password"},
		optional: []string{"is_active", "is_verified"},
		foreign:  true, hash: "hashed_password",
		read: func(f fields) (account.ImportedUser, *account.Refusal) {
			u := account.ImportedUser{Login: f["email"], Email: f["email"]}
			return f.fillActive(u, "hashed_password", "", "is_active", "is_verified")
		},
	},
	// The table auth_user, or a dump: manage.py dumpdata auth.user.
	"django": {
		columns:  []string{"username", "password"},
		optional: []string{"first_name", "last_name", "email", "is_active", "date_joined"},
		foreign:  true, hash: "password", flatten: flattenDjango,
		read: func(f fields) (account.ImportedUser, *account.Refusal) {
			u := account.ImportedUser{Email: f["email"], FullName: strings.TrimSpace(f["first_name"] + " " + f["last_name"])}
			setLogin(&u, f["username"])
			return f.fillActive(u, "password", "date_joined", "is_active")
		},
	},
	"firebase": firebase,
	"supabase": supabase,
	"auth0":    auth0,
	"keycloak": keycloak,
}

// setLogin uses the name that a person logged in with as the username, unless it contains an @, which a username must not:
// then the Importer makes a username from it.
func setLogin(u *account.ImportedUser, name string) {
	if u.Username = name; strings.Contains(name, "@") {
		u.Username, u.Login = "", name
	}
}

type flag struct {
	name string
	into *bool
}

// fill reads the columns that are not text: the hash, the time and the flags.
func (f fields) fill(u *account.ImportedUser, hash, created string, flags ...flag) *account.Refusal {
	// An account without a password has no hash, or a mark in its place: Django writes "!", and others "*".
	if text := f[hash]; !strings.HasPrefix(text, "!") && !strings.HasPrefix(text, "*") {
		u.PasswordHash = secret.New(text)
	}
	if text := f[created]; text != "" {
		var ok bool
		if u.CreatedAt, ok = readTime(text); !ok {
			return invalid(created, "must be a time such as 2026-11-23T14:11:00Z")
		}
	}
	for _, flag := range flags {
		switch strings.ToLower(f[flag.name]) {
		case "":
		case "true", "t", "1", "yes":
			*flag.into = true
		case "false", "f", "0", "no":
			*flag.into = false
		default:
			return invalid(flag.name, "must be true or false")
		}
	}
	return nil
}

// fillActive is fill for a table with a flag of active accounts, and perhaps one of verified addresses.
func (f fields) fillActive(u account.ImportedUser, hash, created, active string, verified ...string) (account.ImportedUser, *account.Refusal) {
	isActive := true
	flags := []flag{{active, &isActive}}
	for _, name := range verified {
		flags = append(flags, flag{name, &u.EmailVerified})
	}
	refusal := f.fill(&u, hash, created, flags...)
	u.Disabled = !isActive
	return u, refusal
}

func invalid(field, reason string) *account.Refusal {
	return &account.Refusal{Code: "invalid_value", Field: field, Reason: reason}
}

// record reads an account from its columns.
func (m mapping) record(f fields) (account.ImportedUser, *account.Refusal) {
	for i, name := range m.columns {
		if text, ok := f[name]; !ok || i == 0 && text == "" {
			return account.ImportedUser{}, &account.Refusal{Code: "missing_field", Field: name, Reason: "is missing"}
		}
	}
	return m.read(f)
}

func (m mapping) known(name string) bool {
	return slices.Contains(m.columns, name) || slices.Contains(m.optional, name)
}

var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_ -]{0,39}$`)

// printableName quotes the name of a column. A first line that is no header may contain a password hash, which must not be
// repeated.
func printableName(name string) string {
	if !columnName.MatchString(name) {
		return "(a text that is not the name of a column)"
	}
	return `"` + name + `"`
}

// readTime accepts RFC 3339, the formats of PostgreSQL, SQLite and MySQL, and milliseconds since 1970. A time without a zone
// is UTC.
func readTime(text string) (t time.Time, ok bool) {
	if millis, err := strconv.ParseInt(text, 10, 64); err == nil && millis > 1e11 && millis < 1e14 {
		return time.UnixMilli(millis).UTC(), true
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07",
		"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return t, false
}
