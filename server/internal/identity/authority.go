package identity

import (
	"slices"
	"strings"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// What an administrator may do to others ends at the scopes of the administrator's own token. Otherwise a part of the
// administration could not be handed out: a person who may only change accounts could appoint themselves to anything, or take
// over the account of somebody who may. So nobody grants a scope that their token lacks (Beyond), and nobody changes an account
// that was granted one (MayAdminister). Revoking is a change, too: an administrator revokes only scopes that the token has.
//
// The rule looks at the token and not at the account of the caller, because a token may have fewer scopes, and its holder must
// not gain the others through it. So it applies to the caller's own account as well. Service clients come under it by the scopes
// of their tokens. The command line, a nil caller, may do everything.

// Beyond returns the scopes of a list that a caller's token lacks. The scopes of every person do not count, and neither do those
// that the contract does not declare, since no operation accepts them.
func (s *Service) Beyond(by *Caller, scopes []string) []string {
	if by == nil {
		return nil
	}
	everyone := s.Scopes.OfEveryone()
	return slices.DeleteFunc(Intersect(scopes, s.Scopes.Declared), func(scope string) bool {
		return slices.Contains(everyone, scope) || by.HasScope(scope)
	})
}

// MayAdminister refuses a change of an account to a caller whose token lacks a scope that the account was granted. Call it for
// every operation on an account that its caller names by an id, in the transaction that has locked the account: a scope may be
// granted at the same moment. Nobody administers their own account with a personal access token: a new address, for example, would
// lead to a new password, and a token that was stolen to the account. Errors: InsufficientScope, with the missing scopes; StaleLogin.
func (s *Service) MayAdminister(by *Caller, target store.User) error {
	if by != nil && by.User.ID == target.ID {
		if err := RequireSignIn(by); err != nil {
			return err
		}
	}
	return s.RequireScopes(by, strings.Fields(target.Scopes), "The account has scopes that your token does not have, so you may not change it.")
}

// RequireScopes refuses a caller whose token lacks one of the scopes that something else has, with a sentence that says what.
// Errors: InsufficientScope, with the missing scopes.
func (s *Service) RequireScopes(by *Caller, scopes []string, detail string) error {
	missing := s.Beyond(by, scopes)
	if len(missing) == 0 {
		return nil
	}
	refused := problem.New(problem.InsufficientScope, detail)
	refused.Scope = strings.Join(missing, " ")
	return refused
}
