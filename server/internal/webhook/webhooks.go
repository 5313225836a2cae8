package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

const (
	maxWebhooks    = 20
	maxURL         = 2000
	maxDescription = 200 // characters
	// MaxOverlap bounds how long a replaced secret signs, too.
	MaxOverlap = 7 * 24 * time.Hour
)

// Webhook is a server that receives events.
type Webhook struct {
	ID, URL, Description string
	Kinds                []string // of events; none for every kind
	Disabled             bool
	OldSecretUntil       time.Time // until when the secret before signs, too; the zero time if it does not
	FailingSince         time.Time // since when no attempt succeeds; the zero time if the last ones did
	FullSince            time.Time // since when no event is queued, because too many wait; the zero time if they are
	CreatedAt            time.Time
}

// NewWebhook is a webhook to be made.
type NewWebhook struct {
	URL, Description string
	Kinds            []string // none for every kind, also those that later versions add
	Disabled         bool
}

// Change is what changes of a webhook; nil keeps.
type Change struct {
	URL, Description *string
	Kinds            []string // empty for every kind
	Disabled         *bool
}

// By is who changes a webhook: a caller of the API, or nil for the command line.
type By = *identity.Caller

func webhookOf(row store.Webhook, now time.Time) Webhook {
	w := Webhook{
		ID: row.ID, URL: row.URL, Description: row.Description, Kinds: strings.Fields(row.Kinds), Disabled: row.Disabled,
		FailingSince: row.FailingSince, FullSince: row.FullSince, CreatedAt: row.CreatedAt,
	}
	if row.OldSecret != "" && row.OldSecretUntil.After(now) {
		w.OldSecretUntil = row.OldSecretUntil
	}
	return w
}

func errNoWebhook() error { return problem.New(problem.NotFound, "There is no webhook with this id.") }

func explain(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errNoWebhook()
	}
	return err
}

// List returns a page of webhooks, the oldest first, and the cursor of the next page, or "". Errors: BadRequest for a cursor of another
// list.
func (s *Service) List(ctx context.Context, cursor string, limit int) (page []Webhook, next string, err error) {
	const list = "webhooks"
	after := ""
	if cursor != "" {
		if after, err = s.cursors.Read(list, cursor); err != nil {
			return nil, "", problem.InvalidCursor(err)
		}
	}
	rows, err := s.db.ListWebhooks(ctx, after, limit+1)
	if len(rows) > limit {
		rows = rows[:limit]
		next = s.cursors.Text(list, rows[limit-1].ID)
	}
	for _, row := range rows {
		page = append(page, webhookOf(row, s.Now()))
	}
	return page, next, err
}

// Webhook returns a webhook. Errors: NotFound.
func (s *Service) Webhook(ctx context.Context, id string) (Webhook, error) {
	row, err := s.db.WebhookByID(ctx, id)
	return webhookOf(row, s.Now()), explain(err)
}

// Create makes a webhook, and returns its secret, which is shown only then. Errors: ValidationFailed.
func (s *Service) Create(ctx context.Context, by By, n NewWebhook) (Webhook, secret.Text, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Webhook{}, secret.Text{}, fmt.Errorf("make a webhook id: %w", err)
	}
	row := store.Webhook{
		ID: id.String(), URL: n.URL, Description: n.Description, Kinds: kindsText(n.Kinds), Disabled: n.Disabled, CreatedAt: s.Now(),
	}
	if err = s.check(row); err != nil {
		return Webhook{}, secret.Text{}, err
	}
	made := newSecret()
	row.Secret = s.seal(row.ID, made)
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.LockAdministration(ctx); err != nil { // so that no other webhook is made before this one is counted
			return err
		}
		all, err := q.ListWebhooks(ctx, "", maxWebhooks)
		if err != nil {
			return err
		}
		if len(all) >= maxWebhooks {
			return problem.New(problem.ValidationFailed, fmt.Sprintf("There are %d webhooks, the maximum.", maxWebhooks))
		}
		if err = q.CreateWebhook(ctx, row); err != nil {
			return err
		}
		return s.record(ctx, q, audit.WebhookCreated, by.Actor(), row.ID)
	})
	return webhookOf(row, s.Now()), made, err
}

// kindsText is a list of kinds as the database has it.
func kindsText(kinds []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(kinds))), " ")
}

// check returns a *problem.Error with a field for each fault, or nil.
func (s *Service) check(row store.Webhook) error {
	invalid := problem.New(problem.ValidationFailed, "The webhook cannot have these settings.")
	if reason := s.addresses.CheckURL(row.URL); reason != "" {
		invalid.At("/url", reason)
	} else if len(row.URL) > maxURL {
		invalid.At("/url", fmt.Sprintf("must have at most %d characters", maxURL))
	}
	if d := row.Description; d != strings.TrimSpace(d) || utf8.RuneCountInString(d) > maxDescription || d != "" && names.CheckFullName(d) != nil {
		invalid.At("/description", fmt.Sprintf("must have at most %d printable characters, and no space at its ends", maxDescription))
	}
	for _, kind := range strings.Fields(row.Kinds) {
		if !slices.Contains(audit.Kinds, audit.Kind(kind)) {
			invalid.At("/kinds", "must be kinds of events, such as login")
			break
		}
	}
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return nil
}

// change changes a webhook in a transaction, and records that.
func (s *Service) change(ctx context.Context, kind audit.Kind, by *audit.Actor, id string, f func(row *store.Webhook) error) (Webhook, error) {
	var row store.Webhook
	err := s.db.Tx(ctx, func(q *store.Queries) (err error) {
		if row, err = q.LockWebhook(ctx, id); err != nil {
			return err
		}
		if err = f(&row); err != nil {
			return err
		}
		if err = q.UpdateWebhook(ctx, row); err != nil {
			return err
		}
		return s.record(ctx, q, kind, by, id)
	})
	return webhookOf(row, s.Now()), explain(err)
}

// Update changes a webhook. Errors: NotFound, ValidationFailed.
func (s *Service) Update(ctx context.Context, by By, id string, c Change) (Webhook, error) {
	return s.change(ctx, audit.WebhookChanged, by.Actor(), id, func(row *store.Webhook) error {
		if c.URL != nil && *c.URL != row.URL {
			row.URL = *c.URL
			row.FailingSince = time.Time{} // that was another receiver
		}
		if c.Description != nil {
			row.Description = *c.Description
		}
		if c.Kinds != nil {
			row.Kinds = kindsText(c.Kinds)
		}
		if c.Disabled != nil {
			if row.Disabled && !*c.Disabled {
				row.FailingSince = time.Time{} // the days before it is disabled again begin anew
			}
			row.Disabled = *c.Disabled
		}
		return s.check(*row)
	})
}

// ReplaceSecret makes a new secret and returns it. The old one signs, too, for some time, so that the receiver can get the new one
// meanwhile; 0 ends it at once. Errors: NotFound.
func (s *Service) ReplaceSecret(ctx context.Context, by By, id string, keepOldFor time.Duration) (Webhook, secret.Text, error) {
	made := newSecret()
	w, err := s.change(ctx, audit.WebhookChanged, by.Actor(), id, func(row *store.Webhook) error {
		row.OldSecret, row.OldSecretUntil = row.Secret, s.Now().Add(min(keepOldFor, MaxOverlap))
		if keepOldFor <= 0 {
			row.OldSecret, row.OldSecretUntil = "", time.UnixMicro(0)
		}
		row.Secret = s.seal(id, made)
		return nil
	})
	return w, made, err
}

// Delete deletes a webhook and its deliveries. One that is being sent may still arrive. Errors: NotFound.
func (s *Service) Delete(ctx context.Context, by By, id string) error {
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.DeleteWebhook(ctx, id); err != nil {
			return err
		}
		return s.record(ctx, q, audit.WebhookDeleted, by.Actor(), id)
	})
	if err != nil {
		return explain(err)
	}
	ctx, done := identity.IgnoreDisconnect(ctx) // the change is committed; the cleanup deletes what is left, later
	defer done()
	for {
		if n, err := s.db.DeleteDeliveriesOf(ctx, id, deleteBatch); err != nil || n < deleteBatch {
			return err
		}
	}
}

const deleteBatch = 500

// disable disables a webhook for the server itself, unless it has got another address since it was read.
func (s *Service) disable(ctx context.Context, w store.Webhook) error {
	errAlready := errors.New("it is disabled, or another receiver")
	_, err := s.change(ctx, audit.WebhookDisabled, &audit.Actor{ID: audit.Schedule}, w.ID, func(row *store.Webhook) error {
		if row.Disabled || row.URL != w.URL {
			return errAlready
		}
		row.Disabled = true
		return nil
	})
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.NotFound || errors.Is(err, errAlready) {
		return nil // deleted, disabled or changed meanwhile
	}
	return err
}

// event returns an event about a webhook, which names it in place of a client.
func event(ctx context.Context, by *audit.Actor, id string) store.Event {
	e := audit.Event(ctx, store.User{}, by)
	e.ClientID = id
	return e
}

func (s *Service) record(ctx context.Context, q *store.Queries, kind audit.Kind, by *audit.Actor, id string) error {
	return audit.Record(ctx, q, kind, event(ctx, by, id), s.Now())
}
