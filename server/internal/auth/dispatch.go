package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sesame/server/internal/mail"
	"sesame/server/internal/store"
)

const (
	// maxSending mails are under way at once. A mail is claimed when there is room for it and not
	// before, so its lease covers no waiting.
	maxSending = 4
	// sendTime is what one mail gets, and mailLease how long no other replica touches it: the rest is
	// for clocks that differ, and to note that it was sent.
	sendTime  = 30 * time.Second
	mailLease = 2 * time.Minute
	// finishTime is what mails under way get when the server stops.
	finishTime = 8 * time.Second
	// A mail that fails is due again after firstPause, doubling to longestPause, and given up when it is
	// mailLife old.
	firstPause   = time.Minute
	longestPause = time.Hour
	mailLife     = 24 * time.Hour
)

// Dispatcher sends what is in an Outbox. Each replica has one; a mail is claimed by one of them.
type Dispatcher struct {
	Outbox    *Outbox
	DB        *store.DB
	Sender    mail.Sender
	Templates *mail.Templates
	Log       *slog.Logger
	Every     time.Duration // how often it looks for mails that another process has left, or that are due again
}

// Run sends mails until the context ends. Then it returns when those under way are sent, or after
// finishTime when they are not; those will be tried again, by whichever replica is first.
func (d *Dispatcher) Run(ctx context.Context) {
	ticker := time.NewTicker(d.Every)
	defer ticker.Stop()
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	busy := make(chan struct{}, maxSending)
	var underWay sync.WaitGroup
	for ctx.Err() == nil {
		for _, row := range d.claim(ctx, maxSending-len(busy)) {
			busy <- struct{}{}
			underWay.Go(func() {
				d.deliver(sending, row)
				<-busy
				d.Outbox.wake() // there is room for another
			})
		}
		select {
		case <-d.Outbox.ring:
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	defer time.AfterFunc(finishTime, cut).Stop()
	underWay.Wait()
}

func (d *Dispatcher) claim(ctx context.Context, limit int) []store.Mail {
	if limit == 0 {
		return nil
	}
	now := d.Outbox.now()
	mails, err := d.DB.ClaimMails(ctx, now, now.Add(mailLease), limit)
	if err != nil && ctx.Err() == nil {
		d.Log.Error("mails that wait could not be read", "error", err)
	}
	return mails
}

// deliver sends one mail and notes how it went.
func (d *Dispatcher) deliver(ctx context.Context, row store.Mail) {
	err := d.send(ctx, row)
	now := d.Outbox.now()
	log := d.Log.With("mail", row.ID, "kind", row.Kind, "attempts", row.Attempts)
	switch {
	case err == nil:
		log.Debug("mail sent")
	case errors.Is(err, mail.ErrPermanent) || now.Sub(row.CreatedAt) >= mailLife:
		log.Error("a mail is given up", "error", err)
	default:
		next := now.Add(pause(row.Attempts))
		log.Warn("a mail could not be sent and is tried again", "error", err, "at", next)
		d.note(ctx, func(ctx context.Context) error { return d.DB.RetryMail(ctx, row, next) })
		return
	}
	d.note(ctx, func(ctx context.Context) error { return d.DB.DoneMail(ctx, row.ID) })
}

// send does what may fail. A template of the operator's, or a mail server that says something unheard
// of, must not end the program.
func (d *Dispatcher) send(ctx context.Context, row store.Mail) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a panic of type %T", r) // its text may be of the mail
		}
	}()
	m, err := d.Outbox.open(row)
	if err != nil || m.Kind == mail.ToNobody {
		return err
	}
	message, err := d.Templates.Render(row.ID, m, d.Outbox.now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return d.Sender.Send(ctx, message)
}

// note writes how it went, and tries for most of the lease: a mail that was sent must not be sent again
// because the database was away for a moment. When the server stops it tries once.
func (d *Dispatcher) note(ctx context.Context, write func(context.Context) error) {
	for until := time.Now().Add(mailLease - sendTime); ; {
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err := write(writing)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		if ctx.Err() != nil || time.Now().After(until) {
			d.Log.Error("how a mail went could not be noted", "error", err)
			return
		}
	}
}

// pause is how long a mail waits after so many tries.
func pause(attempts int) time.Duration {
	return min(firstPause<<min(max(attempts-1, 0), 10), longestPause)
}
