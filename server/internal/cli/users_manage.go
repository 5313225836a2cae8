package cli

import (
	"errors"
	"fmt"
	"strings"

	"sesame/server/internal/app"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token/atjwt"
)

type userDeleteCommand struct {
	userShowCommand
	Yes bool `help:"Do not ask for a confirmation; for scripts."`
}

// Run deletes an account. It asks for the username, because a slip cannot be undone.
func (c *userDeleteCommand) Run(p *program) error {
	return p.withUser(c.Account, func(s *app.Services, user store.User) error {
		if !c.Yes {
			question := fmt.Sprintf("Deleting %s (%s, created on %s) cannot be undone.\nType the username to delete the account: ",
				user.Username, user.ID, user.CreatedAt.Format("2006-01-02"))
			if err := p.confirm(question, user.Username); err != nil {
				return err
			}
		}
		if err := s.Accounts.DeleteUser(p.ctx, nil, user.ID); err != nil {
			return err
		}
		if c.JSON {
			return p.printOne(true, map[string]any{"id": user.ID, "username": user.Username, "deleted": true})
		}
		_, err := fmt.Fprintf(p.Stdout, "Deleted the account %s. For 30 days nobody can register its username.\n", user.Username)
		return err
	})
}

type userVerifyCommand struct{ userShowCommand }

// Run marks the address of an account as verified.
func (c *userVerifyCommand) Run(p *program) error {
	return p.onUser(c.Account, c.JSON, func(s *app.Services, user store.User) (store.User, error) {
		verified, err := s.Accounts.VerifyEmail(p.ctx, user.ID)
		if e, ok := errors.AsType[*problem.Error](err); ok {
			switch e.Code {
			case problem.NothingToConfirm:
				err = fmt.Errorf("the account %s has no email address; give it one with PATCH /users/%s", user.Username, user.ID)
			case problem.EmailTaken:
				err = fmt.Errorf("another account has verified the address %s; find it with: sesame user show %s", user.Email, lastWord(user.Email))
			case problem.ValidationFailed:
				err = fmt.Errorf("the account %s is disabled; enable it first: sesame user enable %s", user.Username, lastWord(user.Username))
			}
		}
		return verified, err
	})
}

type userSessionsCommand struct {
	userShowCommand
	End    []string `placeholder:"ID" xor:"end" help:"End the session with this id; may be repeated."`
	EndAll bool     `xor:"end" help:"End all sessions of the account."`
}

// Run ends the sessions that it is given, and lists those that are left. Services that verify access tokens locally accept those of
// an ended session until they expire.
func (c *userSessionsCommand) Run(p *program) error {
	return p.withUser(c.Account, func(s *app.Services, user store.User) error {
		for _, id := range c.End {
			err := s.Identity.EndSessionOf(p.ctx, nil, user.ID, strings.ToLower(id))
			if e, ok := errors.AsType[*problem.Error](err); ok && e.Code == problem.NotFound {
				return fmt.Errorf("unknown session %q in --end; list those of %s with: sesame user sessions %s", id, user.Username, lastWord(user.Username))
			}
			if err != nil {
				return err
			}
		}
		if c.EndAll {
			if err := s.Identity.EndSessionsOf(p.ctx, nil, user.ID); err != nil {
				return err
			}
		}
		sessions, err := s.Identity.Sessions(p.ctx, user.ID)
		if err != nil {
			return err
		}
		list := p.newListing(c.JSON, "ID", "SCOPES", "CLIENT ID", "AMR", "IP ADDRESS", "USER AGENT", "CREATED AT", "LAST USED AT", "EXPIRES AT")
		for _, session := range sessions {
			err = list.add(sessionObject(session), session.ID, session.Scope, session.ClientID, strings.Join(identity.MethodsOf(session), " "), session.IPAddress, session.UserAgent,
				moment(&session.CreatedAt), moment(&session.LastUsedAt), moment(&session.ExpiresAt))
			if err != nil {
				return err
			}
		}
		return list.end("")
	})
}

// sessionObject is a session as JSON, with the field names of the contract.
func sessionObject(s store.Session) map[string]any {
	methods := identity.MethodsOf(s)
	return map[string]any{
		"acr": atjwt.LevelOf(methods), "amr": methods,
		"id": s.ID, "client_id": s.ClientID, "scopes": strings.Fields(s.Scope), "ip_address": s.IPAddress, "user_agent": s.UserAgent,
		"created_at": s.CreatedAt, "last_used_at": s.LastUsedAt, "expires_at": s.ExpiresAt,
	}
}
