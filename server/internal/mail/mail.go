// Package mail writes mails from templates and hands them to a mail server. It knows no queue and no
// rule of when a mail is due: package auth does.
//
//	templates, err := mail.NewTemplates("", "https://login.example")
//	sender, err := mail.NewSMTP(secret.New("smtp://user:password@mail.example"), "Sesame <no-reply@example.com>")
//	message, err := templates.Render(id, mail.Mail{Kind: mail.ResetPassword, To: "ann@example.com", Fields: mail.Fields{…}}, time.Now())
//	err = sender.Send(ctx, message)
package mail

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"sesame/server/internal/mailbox"
	"sesame/server/secret"
)

// Kind says what a mail is about. There is a pair of templates of that name.
type Kind string

// The kinds. The first two have a Link; the others tell of something that has happened.
const (
	ConfirmEmail      Kind = "confirm_email"       // whether this is the person's address
	ResetPassword     Kind = "reset_password"      // the person has asked for it
	PasswordChanged   Kind = "password_changed"    // by who knows the old one
	PasswordResetDone Kind = "password_reset_done" // by who had the code
	EmailChanged      Kind = "email_changed"       // to NewEmail; told to the old address
	EmailInUse        Kind = "email_in_use"        // somebody wants to use it for another account
	NewLogin          Kind = "new_login"           // the password was given at an address that is not known
	AccountDeleted    Kind = "account_deleted"
)

// ToNobody is never sent: it is left where a mail would tell what must not be told.
const ToNobody Kind = "to_nobody"

var kinds = []Kind{ConfirmEmail, ResetPassword, PasswordChanged, PasswordResetDone, EmailChanged, EmailInUse, NewLogin, AccountDeleted}

// Mail is a mail that is not written yet.
type Mail struct {
	Kind Kind
	To   string // a bare address
	Fields
}

// Fields are what a mail tells. Those that its kind has no use for are empty, and so are the names in a mail to an address
// that nobody has confirmed: a stranger may have chosen them for its reader.
type Fields struct {
	Username  string
	FullName  string
	Link      secret.Text // holds the code
	ExpiresAt time.Time   // of the code; after that the mail is worthless
	When      time.Time   // it happened
	IPAddress string      // of who did it
	UserAgent string
	NewEmail  string
}

// Message is a mail as it is sent. ID is the same at every try, so that receivers can tell a second copy.
type Message struct {
	ID      string // unique, of letters, digits and hyphens
	To      string
	Subject string
	Text    secret.Text
	HTML    secret.Text
}

// Sender sends mails. It is an interface because there may be no mail server.
type Sender interface {
	// Send hands one mail over. An error that is ErrPermanent will not go away; no error repeats what
	// the mail says.
	Send(ctx context.Context, m Message) error
}

// ErrPermanent says that trying again is of no use: the mail server will not take this mail.
var ErrPermanent = errors.New("it will never be sent")

// CheckFrom says why a text is no sender, with or without a name, or nothing. Not every mail server
// takes a sender whose address is not ASCII.
func CheckFrom(text string) (reason string) {
	notASCII := func(r rune) bool { return r > unicode.MaxASCII }
	if from, err := mail.ParseAddress(text); err != nil || !printable(text) || !printable(from.Name) || strings.ContainsFunc(from.Address, notASCII) {
		return "must be an address such as no-reply@example.com or Example <no-reply@example.com>"
	}
	return ""
}

// recipient gives a bare address as the mail server is given it, its domain in ASCII. The contract lets no other
// address in; this checks it again, for it may have been stored before or by hand.
func recipient(text string) (*mail.Address, error) {
	address, err := mailbox.Deliverable(text)
	if err != nil {
		return nil, errAddress
	}
	return &mail.Address{Address: address}, nil
}

// printable reports whether nothing in a text could begin another line.
func printable(text string) bool { return !strings.ContainsFunc(text, breaks) }
