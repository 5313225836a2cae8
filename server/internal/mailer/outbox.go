package mailer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/network"
	"sesame/server/internal/queue"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Outbox stores mails in the database, in the transaction of the operation that they are about. So a mail is sent if,
// and only if, the operation is committed, and no request waits for a mail server.
type Outbox struct {
	sealer token.Sealer
	now    func() time.Time
	bell   queue.Bell // wakes the Dispatcher of this process
}

// NewOutbox makes an Outbox.
func NewOutbox(master token.MasterKey, now func() time.Time) *Outbox {
	return &Outbox{sealer: token.NewSealer(master, "mails"), now: now, bell: queue.NewBell()}
}

// Add stores a mail in the transaction of q. It fails only when the database does. The Dispatcher finds an address that
// cannot be written to; reporting it here would tell the person who asks for the mail something about the account.
func (o *Outbox) Add(ctx context.Context, q *store.Queries, m Mail) error {
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
	q.AfterCommit(o.bell.Ring)
	return nil
}

// Notify mails the owner of an account about a change of it, if they have confirmed their address: an unconfirmed one
// may belong to somebody else. newEmail is for EmailChanged.
func (o *Outbox) Notify(ctx context.Context, q *store.Queries, kind Kind, user store.User, newEmail string) error {
	return o.NotifyOf(ctx, q, kind, user, Fields{NewEmail: newEmail})
}

// NotifyOf is Notify with further fields.
func (o *Outbox) NotifyOf(ctx context.Context, q *store.Queries, kind Kind, user store.User, f Fields) error {
	if !user.EmailVerified {
		return nil
	}
	from, _ := network.RequestOf(ctx)
	f.Username, f.FullName, f.When, f.IPAddress, f.UserAgent = user.Username, user.FullName, o.now(), from.IPAddress, from.UserAgent
	return o.Add(ctx, q, Mail{Kind: kind, To: user.Email, Fields: f})
}

// envelope is the payload before it is sealed. Its Link shadows that of Mail, which would encode as a mark.
type envelope struct {
	Mail
	Link string
}

func (o *Outbox) seal(id string, m Mail) (string, error) {
	plain, err := json.Marshal(envelope{m, m.Link.Reveal()})
	if err != nil {
		return "", fmt.Errorf("encode a mail: %w", err)
	}
	return o.sealer.Seal(plain, id), nil
}

func (o *Outbox) open(row store.Mail) (Mail, error) {
	plain, err := o.sealer.Open(row.Payload, row.ID)
	if err != nil {
		return Mail{}, fmt.Errorf("the mail cannot be decrypted with this master key: %w", err)
	}
	var e envelope
	if err = json.Unmarshal(plain, &e); err != nil {
		return Mail{}, errors.New("another version of sesame wrote the mail in a format that this one cannot read")
	}
	e.Mail.Link = secret.New(e.Link)
	return e.Mail, nil
}
