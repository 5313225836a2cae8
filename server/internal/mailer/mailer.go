// Package mailer writes mails from templates and sends them. An operation adds its mail to the Outbox, in its own
// transaction; the Dispatcher of any replica claims it, renders it with Templates and hands it to the Sender.
//
//	outbox := mailer.NewOutbox(master, time.Now)
//	err := outbox.Add(ctx, q, mailer.Mail{Kind: mailer.ResetPassword, To: "ann@example.com", Fields: mailer.Fields{…}})
//
//	templates, err := mailer.NewTemplates("", "https://login.example")
//	sender, err := mailer.NewSMTP(secret.New("smtp://user:password@mail.example"), "Sesame <no-reply@example.com>")
//	go (&mailer.Dispatcher{Outbox: outbox, DB: db, Sender: sender, Templates: templates, Log: log}).Run(ctx)
//
// The payload of a queued mail may hold a code, so it is sealed with the master key. Which mails are sent, and how
// many, is decided in package account.
package mailer

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

// Kind is the subject of a mail. Each kind has a pair of templates of that name.
type Kind string

// The kinds. The first four have a Link; the others report a change.
const (
	ConfirmEmail      Kind = "confirm_email"       // asks whether the address is the person's
	ResetPassword     Kind = "reset_password"      // at the person's request
	Invitation        Kind = "invitation"          // to choose the first password, at an administrator's request
	MagicLink         Kind = "magic_link"          // signs in, at the person's request
	PasswordChanged   Kind = "password_changed"    // with the old password, or by an operator
	PasswordResetDone Kind = "password_reset_done" // with a mailed code
	EmailChanged      Kind = "email_changed"       // to NewEmail; sent to the old address
	EmailInUse        Kind = "email_in_use"        // somebody gave the address for another account
	NewLogin          Kind = "new_login"           // the password was given in a network that is not known
	AccountDeleted    Kind = "account_deleted"
	IdentityLinked    Kind = "identity_linked" // of Provider
	IdentityUnlinked  Kind = "identity_unlinked"

	FactorAdded      Kind = "factor_added"
	TokenCreated     Kind = "token_created" // a personal access token
	FactorRemoved    Kind = "factor_removed"
	RecoveryCodeUsed Kind = "recovery_code_used"      // at a sign-in
	CodesReplaced    Kind = "recovery_codes_replaced" // there are new ones
	ResetRequested   Kind = "factors_reset_requested" // by an administrator; the factors are removed at Due
	FactorsReset     Kind = "factors_reset"           // they are removed

	Test Kind = "test" // an administrator tries the mail server out
)

// Decoy is a mail that is queued and never sent. It takes the place of one that must not be sent, so that the request
// does the same work either way.
const Decoy Kind = "to_nobody"

var kinds = []Kind{
	ConfirmEmail, ResetPassword, Invitation, MagicLink, PasswordChanged, PasswordResetDone, EmailChanged, EmailInUse, NewLogin, AccountDeleted,
	IdentityLinked, IdentityUnlinked,
	TokenCreated, FactorAdded, FactorRemoved, RecoveryCodeUsed, CodesReplaced, ResetRequested, FactorsReset, Test,
}

// Mail is a mail before it is rendered.
type Mail struct {
	Kind Kind
	To   string // a bare address
	Fields
}

// Fields are the contents of a mail. Those that its kind does not use are empty. So are the names in a mail to an
// unconfirmed address: a stranger may have chosen them as a message to its reader.
type Fields struct {
	Username  string
	FullName  string
	Link      secret.Text // holds the code
	ExpiresAt time.Time   // when the code expires; after that the mail is not sent
	When      time.Time   // when the change happened
	IPAddress string      // of the request that made the change
	UserAgent string
	NewEmail  string
	Provider  string    // of an identity
	Factor    string    // the name of a second factor
	Token     string    // the name of a personal access token
	CodesLeft int       // recovery codes
	Due       time.Time // when a reset removes the second factors
}

// Message is a rendered mail. ID is the same in every attempt, so that receivers can recognise a second copy.
type Message struct {
	ID      string // unique, of letters, digits and hyphens
	To      string
	Subject string
	Text    secret.Text
	HTML    secret.Text
}

// Sender sends mails: SMTP, or Log where no mail server is configured.
type Sender interface {
	// Send hands one mail over. After an error that is ErrPermanent, a retry is useless. No error quotes the mail.
	Send(ctx context.Context, m Message) error
}

// ErrPermanent marks an error that a retry cannot mend: the mail server refuses this mail for good.
var ErrPermanent = errors.New("permanent failure")

// CheckFrom returns why a text is not a valid sender, with or without a name, or "". Not every mail server accepts a
// sender whose address is not ASCII.
func CheckFrom(text string) (reason string) {
	notASCII := func(r rune) bool { return r > unicode.MaxASCII }
	if from, err := mail.ParseAddress(text); err != nil || !printable(text) || !printable(from.Name) || strings.ContainsFunc(from.Address, notASCII) {
		return "must be an address such as no-reply@example.com or Example <no-reply@example.com>"
	}
	return ""
}

// recipient returns a bare address in the form for a mail server, with its domain in ASCII. The contract has checked new
// addresses, but an older version or an operator may have stored an invalid one.
func recipient(text string) (*mail.Address, error) {
	address, err := mailbox.Deliverable(text)
	if err != nil {
		return nil, errAddress
	}
	return &mail.Address{Address: address}, nil
}

// printable reports whether no character of a text could begin another line.
func printable(text string) bool { return !strings.ContainsFunc(text, breaks) }
