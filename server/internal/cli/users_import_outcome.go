package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/account"
	"sesame/server/internal/app"
	"sesame/server/internal/contract"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
)

// importOutcome is the result of an import, as --json prints it.
type importOutcome struct {
	Check     bool            `json:"check"` // nothing was written; the counts are what an import would do
	Read      int             `json:"read"`
	Created   int             `json:"created"`
	Present   int             `json:"present"` // accounts that exist already, and are not changed
	Refused   []refusedRecord `json:"refused"`
	Reasons   map[string]int  `json:"reasons"`          // the codes of the refused lines, counted
	Passwords int             `json:"without_password"` // of the created accounts
	Usernames []madeUsername  `json:"usernames"`        // those that were made from addresses
	// Incomplete is true if a fault ended the import. The lines up to Through are done, and none after it.
	Incomplete bool `json:"incomplete"`
	Through    int  `json:"through_line"`
}

type refusedRecord struct {
	Line   int    `json:"line"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

type madeUsername struct {
	Line     int    `json:"line"`
	Login    string `json:"login"`
	Username string `json:"username"`
}

// importer gathers records into batches.
type importer struct {
	*program
	importOutcome
	command  *userImportCommand
	from     *importFile
	into     *account.Importer
	shape    *contract.Operation // createUser
	changes  *contract.Operation // updateUser, which takes what a registration cannot have
	progress *progress
	batch    []record
	last     int   // the line of the last record
	made     int   // usernames
	fault    error // of the database
}

// take checks a record against the contract, as a request is checked.
func (i *importer) take(r record) error {
	i.Read++
	i.last = r.line
	if r.refusal == nil {
		r.refusal = i.checkShape(r.user)
	}
	if i.command.EmailVerified {
		r.user.EmailVerified = true
	}
	if r.refusal != nil {
		i.refuse(r.line, r.refusal)
	} else {
		i.batch = append(i.batch, r)
	}
	if len(i.batch) == importBatch {
		return i.flush()
	}
	return nil
}

// checkShape returns why the contract refuses an account.
func (i *importer) checkShape(u account.ImportedUser) *account.Refusal {
	username := u.Username
	if username == "" {
		username = "made" // by the Importer, from the address
	}
	// The contract wants a password, and a record has a hash: any valid password takes its place.
	err := i.shape.CheckBody(userBody(username, u.Email, u.FullName, "a wooden horse"))
	if err == nil && u.Metadata != "" {
		var metadata any = u.Metadata // a text that is no JSON is not an object either
		_ = json.Unmarshal([]byte(u.Metadata), &metadata)
		err = i.changes.CheckBody(map[string]any{metadataColumn: metadata})
	}
	if err == nil {
		return nil
	}
	refused := &account.Refusal{Code: "invalid_value"}
	if p, ok := errors.AsType[*problem.Error](err); ok && len(p.Fields) > 0 {
		refused.Field = strings.TrimPrefix(p.Fields[0].Pointer, "/")
		refused.Code = "invalid_" + refused.Field
	}
	refused.Reason = strings.TrimPrefix(strings.ReplaceAll(explain(err).Error(), "\n", "; "), "the "+refused.Field+" ")
	return refused
}

// flush creates the accounts of the batch.
func (i *importer) flush() error {
	users := make([]account.ImportedUser, len(i.batch))
	for n, r := range i.batch {
		users[n], users[n].Line = r.user, r.line
	}
	each, err := i.into.Add(i.ctx, users)
	if err != nil {
		i.fault = err
		return err
	}
	for n, result := range each {
		u := users[n]
		refusal, refused := errors.AsType[*account.Refusal](result.Err)
		switch {
		case refused:
			i.refuse(u.Line, refusal)
			continue
		case result.Err == nil:
			if i.Created++; u.PasswordHash.Empty() {
				i.Passwords++
			}
		default:
			i.Present++
		}
		if u.Username == "" {
			i.reportUsername(u, result.Username)
		}
	}
	i.Through = max(i.Through, i.last)
	i.batch = i.batch[:0]
	i.progress.show(i.Read, i.Created)
	return nil
}

// reportUsername reports a username that was made. On the console only those that cannot be guessed have a line.
func (i *importer) reportUsername(u account.ImportedUser, username string) {
	i.made++
	if i.command.JSON {
		i.Usernames = append(i.Usernames, madeUsername{u.Line, u.Login, username})
	} else if username != strings.ReplaceAll(u.Login, "@", "_at_") {
		i.progress.clear()
		fmt.Fprintf(i.Stdout, "%s: the username of %s is %s\n", i.from.at(u.Line), names.Visible(u.Login), names.Visible(username))
	}
}

func (i *importer) refuse(line int, refusal *account.Refusal) {
	r := refusedRecord{line, refusal.Code, refusal.Field, refusal.Error()}
	if hash := mappings[i.command.From].hash; r.Field == "password_hash" && hash != r.Field { // as the file calls it
		r.Field, r.Reason = hash, "the "+hash+" "+refusal.Reason
	}
	i.Refused = append(i.Refused, r)
	if !i.command.JSON {
		i.progress.clear()
		fmt.Fprintf(i.Stderr, "%s: %s\n", i.from.at(line), names.Visible(r.Reason))
	}
}

// report prints the result. Refused lines make the command fail after all others were imported.
func (i *importer) report() error {
	if i.command.JSON {
		if err := i.printJSON(); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(i.Stdout, i.summary())
	}
	switch n := len(i.Refused); {
	case n > 0 && i.Check:
		return fmt.Errorf("%s would be refused; correct the file, or import the other lines", counted(n, "line"))
	case n > 0:
		return fmt.Errorf("%s refused; correct the file and import it again, which leaves the accounts that exist as they are", counted(n, "line"))
	}
	return nil
}

func (i *importer) printJSON() error {
	slices.SortFunc(i.Refused, func(a, b refusedRecord) int { return a.Line - b.Line })
	i.Reasons = i.reasons()
	// A script can then read the lists without a check for null.
	if i.Refused == nil {
		i.Refused = []refusedRecord{}
	}
	if i.Usernames == nil {
		i.Usernames = []madeUsername{}
	}
	return json.NewEncoder(i.Stdout).Encode(i.importOutcome)
}

func (i *importer) reasons() map[string]int {
	reasons := map[string]int{}
	for _, r := range i.Refused {
		reasons[r.Code]++
	}
	return reasons
}

// summary is the result in a few sentences: "5 read: 2 created, 1 already present, 2 refused: 1 invalid email, 1 unknown hash."
func (i *importer) summary() string {
	reasons := i.reasons()
	codes := slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		if reasons[a] != reasons[b] {
			return reasons[b] - reasons[a]
		}
		return strings.Compare(a, b)
	})
	created := map[bool]string{true: "would be created", false: "created"}[i.Check]
	text := fmt.Sprintf("%d read: %d %s, %d already present, %d refused", i.Read, i.Created, created, i.Present, len(i.Refused))
	for n, code := range codes {
		text += fmt.Sprintf("%s%d %s", map[bool]string{true: ": ", false: ", "}[n == 0], reasons[code], strings.ReplaceAll(code, "_", " "))
	}
	text += "."
	if i.Passwords > 0 {
		text += fmt.Sprintf(" %s no password, and can be used after a reset.", counted(i.Passwords, "created account")+map[bool]string{true: " has", false: " have"}[i.Passwords == 1])
	}
	if i.made > 0 {
		text += fmt.Sprintf(" %s made from addresses; --json lists them.", counted(i.made, "username")+map[bool]string{true: " was", false: " were"}[i.made == 1])
	}
	if i.Check {
		text += " Nothing was written, because of --check."
	}
	return text
}

// counted returns "1 line" or "2 lines".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// progress shows on a terminal how far a long import is. On anything else it shows nothing.
type progress struct {
	to      io.Writer // nil if it is not a terminal
	in      *importFile
	now     func() time.Time
	next    time.Time
	visible bool
}

const progressInterval = time.Second

func (p *program) progressOf(in *importFile) *progress {
	shown := &progress{in: in, now: p.Now, next: p.Now().Add(progressInterval)}
	if app.IsTerminal(p.Stderr) {
		shown.to = p.Stderr
		if wrapper, ok := p.Stderr.(interface{ Unwrap() io.Writer }); ok {
			shown.to = wrapper.Unwrap() // which would escape the carriage return; the line consists of numbers only
		}
	}
	return shown
}

// show replaces the line, at most once a second.
func (p *progress) show(read, created int) {
	if p.to == nil || p.now().Before(p.next) {
		return
	}
	p.next = p.now().Add(progressInterval)
	part := ""
	if p.in.size > 0 {
		part = fmt.Sprintf("%d%%: ", min(100, p.in.read*100/p.in.size))
	}
	fmt.Fprintf(p.to, "\r\x1b[K%s%d read, %d created", part, read, created)
	p.visible = true
}

// clear removes the line, before anything else is printed.
func (p *progress) clear() {
	if p.visible {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.visible = false
	}
}
