package mailer

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// Queue is what administrators see of the mails that wait, and do with them.
type Queue struct {
	*Dispatcher
	Cursors   token.Cursors
	KeyedHash token.KeyedHash
}

// WaitingMail is a mail that is neither sent nor dropped. It has nothing of the content, which may hold a code.
type WaitingMail struct {
	store.Mail
	To      string // the recipient, masked; "" for nobody, and if the mail cannot be decrypted
	Sending bool   // a replica has claimed it
}

// maxReason bounds, in bytes, the stored reason of a failure.
const maxReason = 500

// shortened returns the text of an error in one line.
func shortened(err error) string {
	text := strings.Join(strings.Fields(clean(strings.ToValidUTF8(err.Error(), "?"))), " ")
	for len(text) > maxReason {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// masked returns an address with the first character of its local part alone. It says enough to recognise a failing domain, and
// the list of waiting mails is not a list of addresses.
func masked(address string) string {
	at := strings.LastIndex(address, "@")
	if at <= 0 {
		return ""
	}
	_, first := utf8.DecodeRuneInString(address)
	return clean(address[:first] + "…" + address[at:])
}

// List returns a page of mails, the latest first, and the cursor of the next page, or "". Errors: BadRequest for a cursor of
// another list.
func (u *Queue) List(ctx context.Context, cursor string, limit int) (mails []WaitingMail, next string, err error) {
	const list, afterAll = "mails", "g" // ids are hexadecimal
	before := afterAll
	if cursor != "" {
		if before, err = u.Cursors.Read(list, cursor); err != nil {
			return nil, "", problem.InvalidCursor(err)
		}
	}
	rows, err := u.DB.ListMails(ctx, before, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = u.Cursors.Text(list, rows[limit-1].ID)
	}
	now := u.Outbox.now()
	for _, row := range rows {
		w := WaitingMail{Mail: row, Sending: store.Pending(row.ClaimedUntil, now, mailLease)}
		if m, err := u.Outbox.open(row); err == nil && m.Kind != Decoy {
			w.To = masked(m.To)
		}
		mails = append(mails, w)
	}
	return mails, next, nil
}

func errNoSuchMail(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no waiting mail with this id. It may have been sent.")
	}
	return err
}

// Retry makes the next attempt to send a mail due. Errors: NotFound.
func (u *Queue) Retry(ctx context.Context, id string) error {
	if err := u.DB.HurryMail(ctx, id, u.Outbox.now()); err != nil {
		return errNoSuchMail(err)
	}
	u.Outbox.bell.Ring()
	return nil
}

// Delete deletes a mail. It records who has done so: the mail may be the one that would tell an owner what happened to their account.
// Errors: NotFound.
func (u *Queue) Delete(ctx context.Context, id string, by *audit.Actor) error {
	return u.DB.Tx(ctx, func(q *store.Queries) error {
		if _, err := q.RemoveMail(ctx, id); err != nil {
			return errNoSuchMail(err)
		}
		return audit.Record(ctx, q, audit.MailDeleted, audit.Event(ctx, store.User{}, by), u.Outbox.now())
	})
}

// testTime bounds the sending of a test mail, within the time of a request.
const testTime = 15 * time.Second

// SendTest sends a mail to the confirmed address of a user, past the queue. It returns what the mail server has answered, and
// whether it has accepted the mail. No answer quotes the credentials of the mail server (see SMTP). Errors: NoConfirmedEmail,
// TooManyRequests.
func (u *Queue) SendTest(ctx context.Context, user store.User) (answer string, sent bool, err error) {
	if !user.EmailVerified {
		return "", false, problem.New(problem.NoConfirmedEmail, "A test mail goes to your own confirmed address, and you have none.")
	}
	key, now := u.KeyedHash.Key("mails to", "test", user.ID), u.Outbox.now()
	if counted, err := u.DB.CountMail(ctx, key, now); err != nil || !counted {
		if err == nil {
			err = u.tooSoon(ctx, key, now)
		}
		return "", false, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", false, err
	}
	message, err := u.Templates.Render(id.String(), Mail{Kind: Test, To: user.Email, Fields: Fields{Username: user.Username, FullName: user.FullName, When: now}}, now)
	if err != nil {
		return "", false, err
	}
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	if err = u.Sender.Send(ctx, message); err != nil {
		return shortened(err), false, nil
	}
	if _, ok := u.Sender.(Log); ok {
		return "The mail is in the log of the server, because SESAME_SMTP_URL names no mail server.", true, nil
	}
	return "The mail server has accepted the mail.", true, nil
}

func (u *Queue) tooSoon(ctx context.Context, key string, now time.Time) error {
	until, err := u.DB.MailsRefusedUntil(ctx, key)
	if err != nil {
		return err
	}
	p := problem.New(problem.TooManyRequests, "You may send one test mail a minute, and five an hour.")
	p.RetryAfter = min(max(until.Sub(now), time.Second), store.LongestWait)
	return p
}
