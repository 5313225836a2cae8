package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"sesame/server/internal/account"
	"sesame/server/internal/app"
	"sesame/server/internal/store"
)

// importBatch is how many accounts are created in one transaction.
const importBatch = 500

type userImportCommand struct {
	File          string `arg:"" help:"JSON lines, a JSON document, or CSV with a header; - is standard input."`
	Check         bool   `help:"Write nothing, and report what the import would do."`
	Format        string `default:"auto" placeholder:"auto|jsonl|json|csv" enum:"auto,jsonl,json,csv" help:"Format of the file; auto looks at its name and its first character."`
	Separator     string `default:"auto" placeholder:"auto|comma|semicolon|tab" enum:"auto,comma,semicolon,tab" help:"What separates the columns of CSV; auto looks at the header."`
	From          string `default:"sesame" placeholder:"APP" enum:"sesame,fastapi-template,fastapi-users,django,firebase,supabase,auth0,keycloak" help:"Application whose user table or export the file is: sesame, fastapi-template, fastapi-users, django, firebase, supabase, auth0 or keycloak."`
	EmailVerified bool   `help:"Mark every address as verified, if accounts logged in by address before."`
	JSON          bool   `help:"Print the result as JSON."`

	FirebaseHashConfig string `type:"existingfile" placeholder:"FILE" help:"The password hash parameters of the Firebase project (hash_config), as its console shows them."`
}

// Run creates the accounts of a file that do not exist yet. It reports every line that it refuses, with the reason, and
// creates the others, so running it again changes nothing. If it refused a line the exit code is 1.
func (c *userImportCommand) Run(p *program) error {
	convert, err := c.mapping(p.Now())
	if err != nil {
		return err
	}
	in, err := c.open(p)
	if err != nil {
		return err
	}
	defer in.Close()
	rules, err := p.rules()
	if err != nil {
		return err
	}
	return p.withService(func(s *app.Services) error {
		i := &importer{
			program: p, command: c, from: in, into: s.Accounts.NewImporter(c.Check), shape: rules.Operation("createUser"), changes: rules.Operation("updateUser"),
			importOutcome: importOutcome{Check: c.Check}, progress: p.progressOf(in),
		}
		err := c.read(in, convert, i.take)
		if i.fault == nil { // what was read before a damaged part of the file is imported
			err = errors.Join(err, i.flush())
		}
		i.progress.clear()
		if err != nil {
			return i.interrupted(err)
		}
		return i.report()
	})
}

// read calls take for each record of the file.
func (c *userImportCommand) read(in *importFile, m mapping, take func(record) error) error {
	start, err := in.checkEncoding()
	if err != nil {
		return err
	}
	format := c.Format
	if format == "auto" {
		format = m.formatOf(strings.ToLower(c.File), start)
	}
	switch format {
	case "csv":
		return readCSV(in, m, c.Separator, take)
	case "json":
		return readJSONDocument(in, m, take)
	default:
		return readJSONLines(in, m, take)
	}
}

// usersMember is the member of a JSON document that contains the accounts.
var usersMember = regexp.MustCompile(`"users"\s*:\s*\[`)

// formatOf returns the format of a file by its name and its beginning.
func (m mapping) formatOf(name string, start []byte) string {
	switch {
	case strings.HasSuffix(name, ".csv"), strings.HasSuffix(name, ".tsv"):
		return "csv"
	case len(start) == 0, start[0] == '{' && !m.document && !usersMember.Match(start):
		return "jsonl"
	case start[0] == '[', start[0] == '{':
		return "json"
	case strings.HasSuffix(name, ".jsonl"), strings.HasSuffix(name, ".ndjson"), strings.HasSuffix(name, ".json"):
		return "jsonl"
	}
	return "csv"
}

// interrupted returns the error of an import that could not read the whole file, or not write to the database. It says which
// lines are done, since nobody could otherwise tell.
func (i *importer) interrupted(err error) error {
	if i.ctx.Err() != nil {
		err = errors.New("interrupted") // and so the exit code is 1
	}
	if i.Through == 0 {
		return fmt.Errorf("%w\nnothing was imported", err)
	}
	i.Incomplete = true
	if i.command.JSON {
		if jsonErr := i.printJSON(); jsonErr != nil {
			return jsonErr
		}
	}
	if i.Check {
		return fmt.Errorf("%w\nthe lines up to %d were checked: %s\nnothing was written", err, i.Through, i.summary())
	}
	return fmt.Errorf("%w\nthe lines up to %d are done, none after it: %s\ncorrect the cause and run the command again; it leaves the accounts that exist as they are",
		err, i.Through, i.summary())
}

// record is a line of the file, or why it cannot be read.
type record struct {
	line    int
	user    account.ImportedUser
	refusal *account.Refusal
}

type userExportCommand struct {
	File string `arg:"" optional:"" default:"-" help:"File to write, which must not exist. (default: standard output)"`
}

// exported is an account in the format that import reads.
type exported struct {
	Username      string   `json:"username"`
	Email         string   `json:"email,omitempty"`
	EmailVerified bool     `json:"email_verified"`
	FullName      string   `json:"full_name,omitempty"`
	Disabled      bool     `json:"disabled"`
	PasswordHash  string   `json:"password_hash,omitempty"`
	Scopes        []string `json:"scopes,omitempty"`
	CreatedAt     string   `json:"created_at"`

	Metadata json.RawMessage `json:"user_metadata,omitempty"`
}

// Run writes all accounts. It creates the file after the database is open, so a failure leaves no empty file.
func (c *userExportCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) (err error) {
		out := p.Stdout
		if c.File != "-" {
			// Only the owner may read password hashes.
			file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, file.Close()) }()
			out = &app.VisibleWriter{To: file} // the file may be shown in a terminal
		}
		buffered := bufio.NewWriter(out)
		encoder := json.NewEncoder(buffered)
		encoder.SetEscapeHTML(false)
		err = s.Accounts.ExportUsers(p.ctx, func(u store.User) error {
			return encoder.Encode(exported{
				Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified, FullName: u.FullName, Disabled: u.Disabled,
				PasswordHash: u.PasswordHash.Reveal(), Scopes: strings.Fields(u.Scopes), CreatedAt: u.CreatedAt.Format(timeFormat),
				Metadata: json.RawMessage(u.Metadata),
			})
		})
		return errors.Join(err, buffered.Flush())
	})
}
