package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"sesame/server/internal/account"
	"sesame/server/internal/app"
	"sesame/server/internal/contract"
	"sesame/server/internal/names"
	"sesame/server/internal/store"
)

// importBatch is how many accounts are created in one transaction.
const importBatch = 500

type userImportCommand struct {
	File          string `arg:"" help:"JSON lines, or CSV with a header; - is standard input."`
	Format        string `default:"auto" placeholder:"auto|jsonl|csv" enum:"auto,jsonl,csv" help:"Format of the file; auto means csv for a name that ends in .csv."`
	From          string `default:"sesame" placeholder:"APP" enum:"sesame,fastapi-template,fastapi-users,django" help:"Application whose user table the file is: sesame, fastapi-template, fastapi-users or django."`
	EmailVerified bool   `help:"Mark every address as verified, if accounts logged in by address before."`
	JSON          bool   `help:"Print the result as JSON."`
}

// importOutcome is the result of an import, as --json prints it.
type importOutcome struct {
	Read    int             `json:"read"`
	Created int             `json:"created"`
	Present int             `json:"present"` // accounts that exist already, and are not changed
	Refused []refusedRecord `json:"refused"`
}

type refusedRecord struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// Run creates the accounts of a file that do not exist yet. It reports every line that it refuses, with the reason, and
// creates the others, so running it again changes nothing. If it refused a line the exit code is 1.
func (c *userImportCommand) Run(p *program) error {
	in, name := p.Stdin, strings.ToLower(c.File)
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	convert := mappings[c.From]
	read := readJSONLines
	if c.Format == "csv" || c.Format == "auto" && strings.HasSuffix(name, ".csv") {
		read = readCSV
	}
	rules, err := p.rules()
	if err != nil {
		return err
	}
	return p.withService(func(s *app.Services) error {
		i := &importer{program: p, command: c, into: s.Accounts.NewImporter(), shape: rules.Operation("createUser")}
		err := read(bufio.NewReaderSize(in, 1<<16), convert, i.take)
		if err == nil {
			err = i.flush()
		}
		if err != nil {
			return fmt.Errorf("%w\n%d accounts were created; run the command again to continue", err, i.Created)
		}
		return i.report()
	})
}

// record is a line of the file, or why it cannot be read.
type record struct {
	line int
	user account.ImportedUser
	err  error
}

// importer gathers records into batches.
type importer struct {
	*program
	importOutcome
	command *userImportCommand
	into    *account.Importer
	shape   *contract.Operation
	batch   []record
}

// take checks a record against the contract, as a request is checked.
func (i *importer) take(r record) error {
	i.Read++
	if r.err == nil {
		// The contract wants a password, and a record has a hash: any valid password takes its place.
		r.err = explain(i.shape.CheckBody(userBody(r.user.Username, r.user.Email, r.user.FullName, "a wooden horse")))
	}
	if i.command.EmailVerified {
		r.user.EmailVerified = true
	}
	if r.err != nil {
		i.refuse(r.line, r.err)
	} else {
		i.batch = append(i.batch, r)
	}
	if i.Read%10_000 == 0 {
		fmt.Fprintf(i.Stderr, "%d read, %d created\n", i.Read, i.Created)
	}
	if len(i.batch) == importBatch {
		return i.flush()
	}
	return nil
}

func (i *importer) flush() error {
	users := make([]account.ImportedUser, len(i.batch))
	for n, r := range i.batch {
		users[n], users[n].Line = r.user, r.line
	}
	each, err := i.into.Add(i.ctx, users)
	if err != nil {
		return err
	}
	for n, refusal := range each {
		switch {
		case refusal == nil:
			i.Created++
		case errors.Is(refusal, account.ErrPresent):
			i.Present++
		default:
			i.refuse(i.batch[n].line, refusal)
		}
	}
	i.batch = i.batch[:0]
	return nil
}

func (i *importer) refuse(line int, reason error) {
	text := strings.ReplaceAll(reason.Error(), "\n", "; ")
	i.Refused = append(i.Refused, refusedRecord{line, text})
	if !i.command.JSON {
		fmt.Fprintf(i.Stderr, "line %d: %s\n", line, names.Visible(text))
	}
}

// report prints the result. Refused lines make the command fail after all others were imported.
func (i *importer) report() error {
	slices.SortFunc(i.Refused, func(a, b refusedRecord) int { return a.Line - b.Line })
	if i.command.JSON {
		if i.Refused == nil {
			i.Refused = []refusedRecord{}
		}
		if err := json.NewEncoder(i.Stdout).Encode(i.importOutcome); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(i.Stdout, "%d read: %d created, %d already present, %d refused.\n", i.Read, i.Created, i.Present, len(i.Refused))
	}
	if n := len(i.Refused); n > 0 {
		return fmt.Errorf("%d lines were refused; correct them and run it again", n)
	}
	return nil
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
			})
		})
		return errors.Join(err, buffered.Flush())
	})
}
