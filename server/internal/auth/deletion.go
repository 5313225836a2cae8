package auth

import (
	"context"
	"time"

	"sesame/server/internal/mail"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// maxLoginAge is how old a login may be for what cannot be undone (RFC 9470).
const maxLoginAge = 10 * time.Minute

// DeleteAccount removes the caller's account and ends its sessions. Errors: StaleLogin when the
// login is older than ten minutes, LastAdministrator.
func (s *Service) DeleteAccount(ctx context.Context, caller *Caller) error {
	if s.Now().Sub(caller.LoggedInAt) > maxLoginAge {
		return problem.New(problem.StaleLogin, "This needs a login that is not older than ten minutes. Log in again.")
	}
	return gone(s.deleteUser(ctx, caller, caller.User.ID))
}

// usernameRest is how long the name of a deleted account is kept from strangers. Others go on taking it for the
// person who had it, in links and lists of theirs, until they have learnt of the deletion.
const usernameRest = 30 * 24 * time.Hour

// DeleteUser removes an account and ends its sessions; its owner is mailed. caller is nil at the command line. Errors:
// NotFound, LastAdministrator; for one's own account StaleLogin when the login is older than ten minutes.
func (s *Service) DeleteUser(ctx context.Context, caller *Caller, id string) error {
	if caller != nil && caller.User.ID == id {
		return s.DeleteAccount(ctx, caller)
	}
	return noSuchUser(s.deleteUser(ctx, caller, id))
}

func (s *Service) deleteUser(ctx context.Context, by *Caller, id string) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.LockAdministration(ctx); err != nil {
			return err
		}
		user, err := q.LockUser(ctx, id)
		if err != nil {
			return err
		}
		if err = s.keepAnAdministrator(ctx, q, user); err != nil {
			return err
		}
		if err = q.DeleteUser(ctx, id); err != nil {
			return err
		}
		if err = q.ReserveUsername(ctx, user.UsernameKey, s.now().Add(usernameRest)); err != nil {
			return err
		}
		if err = s.notify(ctx, q, mail.AccountDeleted, user, ""); err != nil {
			return err
		}
		return s.record(ctx, q, EventAccountDeleted, user, by)
	})
}
