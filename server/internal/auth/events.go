package auth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// EventKind says what happened. The contract has the same kinds, as EventKind.
type EventKind string

// What is recorded. A further kind is a line here and one in openapi.yaml.
const (
	EventLogin            EventKind = "login"
	EventLoginFailed      EventKind = "login_failed"      // as many as the throttle counts
	EventLoginThrottled   EventKind = "login_throttled"   // one for each block
	EventPasswordAccepted EventKind = "password_accepted" // the correct one, and no other event came of it; repeats are folded
	EventLogout           EventKind = "logout"
	EventLogoutEverywhere EventKind = "logout_everywhere"
	EventRefreshReused    EventKind = "refresh_reused"
	EventWrongPassword    EventKind = "wrong_password" // of somebody who is logged in; as many as the throttle counts
	EventPasswordChanged  EventKind = "password_changed"
	EventAccountCreated   EventKind = "account_created"
	EventAccountDeleted   EventKind = "account_deleted"
	EventAccountDisabled  EventKind = "account_disabled"
	EventAccountEnabled   EventKind = "account_enabled"
	EventScopesChanged    EventKind = "scopes_changed"
	EventProfileChanged   EventKind = "profile_changed" // name or address, by somebody else
	EventEmailConfirmed   EventKind = "email_confirmed"
	EventEmailChanged     EventKind = "email_changed" // by its owner, who has confirmed the new one
	EventEmailLost        EventKind = "email_lost"    // somebody else has proven that it is theirs
	EventPasswordReset    EventKind = "password_reset"
	EventClientCreated    EventKind = "client_created"
	EventClientDeleted    EventKind = "client_deleted"
	EventKeyRotated       EventKind = "key_rotated"
)

// Who did it, where it was neither a user nor a client.
const (
	byCommandLine = "command line"
	bySchedule    = "schedule"
)

// Origin is where a request comes from.
type Origin struct {
	IPAddress string
	UserAgent string
}

type originKey struct{}

// WithOrigin says where a request comes from. What is done in a context without it is done at the command
// line.
func WithOrigin(ctx context.Context, from Origin) context.Context {
	return context.WithValue(ctx, originKey{}, from)
}

func originOf(ctx context.Context) (from Origin, isRequest bool) {
	from, isRequest = ctx.Value(originKey{}).(Origin)
	return from, isRequest
}

// networkOf is the network that a request comes from; the command line is one of its own.
func networkOf(ctx context.Context) network.Network {
	from, isRequest := originOf(ctx)
	if !isRequest {
		return network.Network{}
	}
	return network.Of(from.IPAddress)
}

// record notes what happened to an account. q is the transaction of the deed, so that there is neither
// without the other. by is who did it; nil is whoever is at the command line, or, in a request that nobody
// is logged in to make, such as a registration, the account's own person.
func (s *Service) record(ctx context.Context, q *store.Queries, kind EventKind, user store.User, by *Caller) error {
	e := store.Event{UserID: user.ID, Username: user.Username}
	_, isRequest := originOf(ctx)
	switch {
	case by != nil:
		e.Actor, e.ClientID, e.SessionID = by.id(), by.ClientID, by.SessionID
	case isRequest:
		e.Actor = user.ID
	default:
		e.Actor = byCommandLine
	}
	return recordEvent(ctx, q, kind, e, s.Now())
}

// recordEvent is record for what is not done by somebody to an account.
func recordEvent(ctx context.Context, q *store.Queries, kind EventKind, e store.Event, now time.Time) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make an event id: %w", err)
	}
	from, _ := originOf(ctx)
	e.ID, e.At, e.Kind, e.IPAddress, e.UserAgent = id.String(), now, string(kind), from.IPAddress, printable(from.UserAgent, 256)
	return q.RecordEvent(ctx, e)
}

// EventQuery asks for a page of events. What is empty does not narrow it.
type EventQuery struct {
	UserID string
	Kind   string
	Cursor string // "" for the first page
	Limit  int
}

// Events gives a page of the events, the latest first, and the cursor of the next, or "". Errors:
// BadRequest for a cursor that is not of this list.
func (s *Service) Events(ctx context.Context, query EventQuery) (events []store.Event, next string, err error) {
	list := strings.Join([]string{"events", query.UserID, query.Kind}, " ")
	before := ""
	if query.Cursor != "" {
		if before, err = s.Cursors.Read(list, query.Cursor); err != nil {
			return nil, "", problem.Wrap(problem.BadRequest, "The cursor is not one of this list.", err).At("/cursor", "is not one of this list")
		}
	}
	events, err = s.db.ListEvents(ctx, store.EventQuery{UserID: query.UserID, Kind: query.Kind, Before: before, Limit: query.Limit + 1})
	if err != nil || len(events) <= query.Limit {
		return events, "", err
	}
	events = events[:query.Limit]
	return events, s.Cursors.Text(list, events[query.Limit-1].ID), nil
}

func (s *Service) forgetEvents(ctx context.Context, now time.Time, limit int) (int64, error) {
	return s.db.ForgetEvents(ctx, now.Add(-s.EventRetention), limit)
}
