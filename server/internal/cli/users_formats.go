package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"sesame/server/internal/account"
	"sesame/server/secret"
)

const (
	timeFormat = time.RFC3339Nano
	// maxLine bounds a line, in bytes. No account needs more.
	maxLine = 64 << 10
)

// fields are the columns of a record, as text. A missing or null column is "".
type fields map[string]string

// mapping reads an account from the columns of an application's user table.
type mapping struct {
	columns  []string // required
	optional []string // read if present
	foreign  bool     // other columns are ignored; in our own format they are an error, since they may be mistyped
	read     func(fields) (account.ImportedUser, error)
}

// mappings are the values of --from.
var mappings = map[string]mapping{
	"sesame": {
		[]string{"username"},
		[]string{"email", "email_verified", "full_name", "disabled", "password_hash", "scopes", "created_at"},
		false,
		func(f fields) (account.ImportedUser, error) {
			u := account.ImportedUser{Username: f["username"], Email: f["email"], FullName: f["full_name"], Scopes: strings.Fields(f["scopes"])}
			err := f.fill(&u, "password_hash", "created_at", flag{"disabled", &u.Disabled}, flag{"email_verified", &u.EmailVerified})
			return u, err
		},
	},
	// https://github.com/fastapi/full-stack-fastapi-template: people log in by address.
	"fastapi-template": {
		[]string{"email", "hashed_password"},
		[]string{"full_name", "is_active", "created_at"},
		true,
		func(f fields) (account.ImportedUser, error) {
			active := true
			u := account.ImportedUser{Username: nameOf(f["email"]), Email: f["email"], FullName: f["full_name"], EmailVerified: true}
			err := f.fill(&u, "hashed_password", "created_at", flag{"is_active", &active})
			u.Disabled = !active
			return u, err
		},
	},
	// https://github.com/fastapi-users/fastapi-users: people log in by address, which may be verified or not.
	"fastapi-users": {
		[]string{"email", "hashed_password"},
		[]string{"is_active", "is_verified"},
		true,
		func(f fields) (account.ImportedUser, error) {
			active := true
			u := account.ImportedUser{Username: nameOf(f["email"]), Email: f["email"]}
			err := f.fill(&u, "hashed_password", "", flag{"is_active", &active}, flag{"is_verified", &u.EmailVerified})
			u.Disabled = !active
			return u, err
		},
	},
	"django": {
		[]string{"username", "password"},
		[]string{"first_name", "last_name", "email", "is_active", "date_joined"},
		true,
		func(f fields) (account.ImportedUser, error) {
			if strings.HasPrefix(f["password"], "!") { // how Django marks an account without a password
				f["password"] = ""
			}
			active := true
			u := account.ImportedUser{
				Username: nameOf(f["username"]), Email: f["email"], FullName: strings.TrimSpace(f["first_name"] + " " + f["last_name"]),
			}
			err := f.fill(&u, "password", "date_joined", flag{"is_active", &active})
			u.Disabled = !active
			return u, err
		},
	},
}

// nameOf makes a username from an address, since a username must not contain @. It is the same at every run, so that a second
// run finds the accounts of the first one.
func nameOf(login string) string { return strings.ReplaceAll(login, "@", "_at_") }

type flag struct {
	name string
	into *bool
}

// fill reads the columns that are not text: the hash, the time and the flags.
func (f fields) fill(u *account.ImportedUser, hash, created string, flags ...flag) (err error) {
	u.PasswordHash = secret.New(f[hash])
	if text := f[created]; text != "" {
		if u.CreatedAt, err = readTime(text); err != nil {
			return fmt.Errorf("the %s %w", created, err)
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
			return fmt.Errorf("the %s must be true or false", flag.name)
		}
	}
	return nil
}

// readTime accepts RFC 3339 and the formats of PostgreSQL, SQLite and MySQL. A time without a zone is UTC.
func readTime(text string) (t time.Time, err error) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07",
		"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999",
	} {
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return t, errors.New("must be a time such as 2026-11-23T14:11:00Z")
}

// readJSONLines reads one JSON object per line.
func readJSONLines(in *bufio.Reader, m mapping, take func(record) error) error {
	for line := 1; ; line++ {
		text, tooLong, err := readLine(in)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		if text = bytes.TrimSpace(text); len(text) > 0 || tooLong {
			r := record{line: line, err: errors.New("is too long")}
			if !tooLong {
				r.user, r.err = m.object(text)
			}
			if err := take(r); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// readLine reads a line of any length. It drops the text of a line longer than maxLine.
func readLine(in *bufio.Reader) (text []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			text, tooLong = nil, true
		} else if !tooLong {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, tooLong, err
		}
	}
}

// object reads an account from a JSON object.
func (m mapping) object(text []byte) (account.ImportedUser, error) {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return account.ImportedUser{}, errors.New("is not a JSON object, or has a duplicate key")
	}
	f := fields{}
	for name, value := range object {
		if !m.known(name) {
			if m.foreign {
				continue
			}
			return account.ImportedUser{}, fmt.Errorf("has the unknown field %q", printableName(name))
		}
		switch v := value.(type) {
		case nil:
		case string:
			f[name] = v
		case bool:
			f[name] = fmt.Sprint(v)
		case []any:
			for _, item := range v {
				f[name] += fmt.Sprint(item) + " "
			}
		default:
			return account.ImportedUser{}, fmt.Errorf("the %s must be a string, true or false", name)
		}
	}
	return m.record(f)
}

func (m mapping) record(f fields) (account.ImportedUser, error) {
	for _, name := range m.columns {
		if f[name] == "" {
			return account.ImportedUser{}, fmt.Errorf("the %s is missing", name)
		}
	}
	return m.read(f)
}

func (m mapping) known(name string) bool {
	return slices.Contains(m.columns, name) || slices.Contains(m.optional, name)
}

func printableName(name string) string { return name[:min(len(name), 40)] }

// readCSV reads a table with a header (RFC 4180). An unknown column of our own format is an error before anything is created,
// since it may be mistyped; unknown columns of other applications are ignored.
func readCSV(in *bufio.Reader, m mapping, take func(record) error) error {
	reader := csv.NewReader(in)
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return fmt.Errorf("the header cannot be read: %w", err)
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	for _, name := range m.columns {
		if !slices.Contains(header, name) {
			return fmt.Errorf("the header has no column %s", name)
		}
	}
	if !m.foreign {
		for _, name := range header {
			if !m.known(name) {
				return fmt.Errorf("the header has the unknown column %q", printableName(name))
			}
		}
	}
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		r := record{}
		switch broken, ok := errors.AsType[*csv.ParseError](err); {
		case ok:
			r.line, r.err = broken.StartLine, fmt.Errorf("is not valid CSV: %w", broken.Err)
		case err != nil:
			return err
		default:
			r.line, _ = reader.FieldPos(0)
			f := fields{}
			for i, name := range header {
				f[name] = row[i]
			}
			r.user, r.err = m.record(f)
		}
		if err = take(r); err != nil {
			return err
		}
	}
}
