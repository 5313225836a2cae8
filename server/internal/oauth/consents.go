package oauth

import (
	"context"
	"errors"

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
		return audit.Record(ctx, q, audit.Logout, event, s.now())
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "You have not agreed to this application.")
	}
	return err
}

// ClientName returns the name of a client, or "" for one that was deleted.
func (s *Service) ClientName(ctx context.Context, id string) (string, error) {
	client, err := s.clientByID(ctx, id)
	return client.Name, store.IgnoreNotFound(err)
}
