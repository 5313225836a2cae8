package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/mail"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Outbox is where an operation leaves its mails: in the database, in the transaction of whatever the mail
// is about. So a mail is sent if, and only if, that has happened, and the answer waits for no mail server.
type Outbox struct {
	box  token.Box
	now  func() time.Time
	ring chan struct{} // wakes the Dispatcher of this process; others look now and then
}

// NewOutbox makes an Outbox.
func NewOutbox(master token.MasterKey, now func() time.Time) *Outbox {
	return &Outbox{box: token.NewBox(master, "mails"), now: now, ring: make(chan struct{}, 1)}
}

// Add leaves a mail in the transaction of q. It fails only if the database does: an address that cannot
// be written to is found later, for nobody who asks may learn of it.
func (o *Outbox) Add(ctx context.Context, q *store.Queries, m mail.Mail) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a mail id: %w", err)
	}
	payload, err := o.seal(id.String(), m)
	if err != nil {
		return err
	}
	err = q.EnqueueMail(ctx, store.Mail{ID: id.String(), Kind: string(m.Kind), Payload: payload, CreatedAt: o.now()})
	if err != nil {
		return err
	}
	q.AfterCommit(o.wake)
	return nil
}

func (o *Outbox) wake() {
	select {
	case o.ring <- struct{}{}:
	default: // it will wake anyway
	}
}

// notify tells the owner of an account what has just been done to it, if they have confirmed their address: to
// any other one it would go to somebody else. newEmail is for EmailChanged alone.
func (s *Service) notify(ctx context.Context, q *store.Queries, kind mail.Kind, user store.User, newEmail string) error {
	if !user.EmailVerified {
		return nil
	}
	from, _ := originOf(ctx)
	return s.Outbox.Add(ctx, q, mail.Mail{Kind: kind, To: user.Email, Fields: mail.Fields{
		Username: user.Username, FullName: user.FullName, When: s.now(), IPAddress: from.IPAddress, UserAgent: printable(from.UserAgent, 256), NewEmail: newEmail,
	}})
}

// envelope is the payload before it is sealed. Its Link hides the one of Mail, which writes a mark.
type envelope struct {
	mail.Mail
	Link string
}

func (o *Outbox) seal(id string, m mail.Mail) (string, error) {
	plain, err := json.Marshal(envelope{m, m.Link.Reveal()})
	if err != nil {
		return "", fmt.Errorf("encode a mail: %w", err)
	}
	return o.box.Seal(plain, id), nil
}

func (o *Outbox) open(row store.Mail) (mail.Mail, error) {
	plain, err := o.box.Open(row.Payload, row.ID)
	if err != nil {
		return mail.Mail{}, fmt.Errorf("the master key does not open it: %w", err)
	}
	var e envelope
	if err = json.Unmarshal(plain, &e); err != nil {
		return mail.Mail{}, fmt.Errorf("a version of sesame wrote it that this one does not understand")
	}
	e.Mail.Link = secret.New(e.Link)
	return e.Mail, nil
}
