package oauth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// maxConsents limits how many applications are listed.
const maxConsents = 100

// Consents lists the clients that a person has agreed to, with the scopes of each.
func (s *Service) Consents(ctx context.Context, caller *identity.Caller) ([]store.GrantedConsent, error) {
	return s.db.ListConsents(ctx, caller.User.ID, maxConsents)
}

// Agree stores that a person has agreed. Scopes that were granted before stay granted.
func (s *Service) Agree(ctx context.Context, a Authorization, user store.User) error {
	if !a.Client.ThirdParty {
		return nil
	}
	if err := s.keepDocument(ctx, a.Client); err != nil {
		return err
	}
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		if _, err := q.LockUser(ctx, user.ID); err != nil { // the person may agree or withdraw in another window
			return err
		}
		if a.Client.Unverified() {
			if err := q.MarkClientAgreed(ctx, a.Client.ID, s.now()); err != nil {
				return err
			}
		}
		before, err := q.ConsentOf(ctx, user.ID, a.Client.ID)
		if store.IgnoreNotFound(err) != nil {
			return err
		}
		granted := strings.Fields(before.Scope)
		all := slices.Concat(granted, s.ConsentFor(a, user))
		if all = identity.Intersect(all, all); len(all) > len(granted) {
			event := audit.Event(ctx, user, &audit.Actor{ID: user.ID, ClientID: a.Client.ID})
			if err = audit.Record(ctx, q, audit.ConsentGranted, event, s.now()); err != nil {
				return err
			}
		}
		return q.SetConsent(ctx, user.ID, a.Client.ID, strings.Join(all, " "), s.now())
	})
	return store.IgnoreNotFound(err) // an account that was deleted meanwhile gets no code
}

// Withdraw takes back what a person has agreed to, and ends their sessions with the client. Errors: NotFound.
func (s *Service) Withdraw(ctx context.Context, caller *identity.Caller, clientID string) error {
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		if _, err := q.LockUser(ctx, caller.User.ID); err != nil { // a session that starts now waits, and ends here, or it comes later and asks again
			return err
		}
		if err := q.DeleteConsent(ctx, caller.User.ID, clientID); err != nil {
			return err
		}
		if err := q.EndSessionsWith(ctx, caller.User.ID, clientID); err != nil {
			return err
		}
		event := audit.Event(ctx, caller.User, caller.Actor())
		event.ClientID, event.SessionID = clientID, ""
		return audit.Record(ctx, q, audit.ConsentWithdrawn, event, s.now())
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "You have not agreed to this application.")
	}
	return err
}

// ClientName returns the name of a client, or "" for one that was deleted.
func (s *Service) ClientName(ctx context.Context, id string) (string, error) {
	client, err := s.clientByID(ctx, id)
	return client.Title(), store.IgnoreNotFound(err)
}
