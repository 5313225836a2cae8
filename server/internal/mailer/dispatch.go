package mailer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sesame/server/internal/queue"
	"sesame/server/internal/store"
	"sesame/server/internal/tracing"
)

const (
	// maxSending bounds how many mails are sent at once.
	maxSending = 4
	// sendTime bounds the sending of one mail, and mailLease is how long no other replica claims it.
	sendTime  = 30 * time.Second
	mailLease = 2 * time.Minute
	// finishTime bounds the wait for mails that are being sent when the server stops.
	finishTime = 8 * time.Second
	// A mail that fails is due again after firstPause, doubling to longestPause. It is dropped when it is mailLife old.
	firstPause   = time.Minute
	longestPause = store.LongestMailPause
	mailLife     = 24 * time.Hour
)

// Dispatcher sends the mails of an Outbox. Every replica runs one; each mail is claimed by one of them.
type Dispatcher struct {
	Outbox    *Outbox
	DB        *store.DB
	Sender    Sender
	Templates *Templates
	Log       *slog.Logger
	// PollEvery is how often it asks the database for mails that are due again, or that another process stored.
	PollEvery time.Duration
	// Attempted counts the attempts to send a mail, by Outcomes. It may be nil.
	Attempted func(outcome string)
	Tracer    *tracing.Tracer // makes the span of an attempt; nil for none
}

// Outcomes of an attempt to send a mail.
const (
	mailSent    = "sent"
	mailDropped = "dropped" // it can never be delivered, or is too old
	mailRetried = "retried"
)

// Outcomes are the values of Dispatcher.Attempted.
var Outcomes = []string{mailSent, mailDropped, mailRetried}

func (d *Dispatcher) attempted(outcome string) {
	if d.Attempted != nil {
		d.Attempted(outcome)
	}
}

// Run sends mails until ctx ends. It returns once the mails that are being sent are finished, or after finishTime; a
// replica retries those that are not.
func (d *Dispatcher) Run(ctx context.Context) {
	worker := &queue.Worker[store.Mail]{
		What: "mails", Claim: d.DB.ClaimMails, Max: maxSending, Lease: mailLease, WorkTime: sendTime, FinishTime: finishTime,
		Every: d.PollEvery, Bell: d.Outbox.bell, Now: d.Outbox.now, Log: d.Log,
	}
	worker.Do = func(ctx context.Context, row store.Mail) { d.deliver(ctx, worker, row) }
	worker.Run(ctx)
}

// deliver sends one mail and records the outcome.
func (d *Dispatcher) deliver(ctx context.Context, worker *queue.Worker[store.Mail], row store.Mail) {
	ctx, span := d.Tracer.Background(ctx, "mail")
	defer span.End()
	span.SetNumber("sesame.mail.attempt", row.Attempts)
	err := d.send(ctx, row)
	now := d.Outbox.now()
	log := d.Log.With("mail", row.ID, "kind", row.Kind, "attempts", row.Attempts)
	switch {
	case err == nil:
		log.Debug("mail sent")
		d.attempted(mailSent)
	case errors.Is(err, ErrPermanent) || now.Sub(row.CreatedAt) >= mailLife:
		log.Error("mail dropped", "error", err)
		d.attempted(mailDropped)
		span.Fail(mailDropped)
	default:
		next := now.Add(queue.Pause(row.Attempts, firstPause, longestPause))
		log.Warn("sending a mail failed and will be retried", "error", err, "retry_at", next)
		d.attempted(mailRetried)
		span.Fail(mailRetried)
		worker.Record(ctx, func(ctx context.Context) error { return d.DB.RetryMail(ctx, row, next, shortened(err)) })
		return
	}
	worker.Record(ctx, func(ctx context.Context) error { return d.DB.DeleteMail(ctx, row.ID) })
}

// send renders and sends one mail. It recovers panics: an operator's template, or a mail server that breaks the
// protocol, must not end the program.
func (d *Dispatcher) send(ctx context.Context, row store.Mail) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic of type %T", r) // its text may quote the mail
		}
	}()
	m, err := d.Outbox.open(row)
	if err != nil || m.Kind == Decoy {
		return err
	}
	message, err := d.Templates.Render(row.ID, m, d.Outbox.now())
	if err != nil {
		return err
	}
	ctx, span := tracing.Start(ctx, "mail send")
	defer span.End()
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return d.Sender.Send(ctx, message)
}
