package cli

import (
	"errors"
	"fmt"
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

type userFactorsCommand struct{ userShowCommand }

// Run lists the second factors of an account.
func (c *userFactorsCommand) Run(p *program) error {
	return p.withUser(c.Account, func(s *app.Services, user store.User) error {
		factors, err := s.Accounts.FactorsOf(p.ctx, user.ID)
		if err != nil {
			return err
		}
		list := p.newListing(c.JSON, "ID", "KIND", "NAME", "DISABLED", "CREATED AT", "LAST USED AT")
		for _, f := range factors.Items {
			err = list.add(factorObject(f), f.ID, f.Kind, f.Name, yesOrNo(identity.IsDisabled(f)), moment(&f.CreatedAt), moment(used(f)))
			if err != nil {
				return err
			}
		}
		resetAt := "null"
		if at := factors.User.FactorsResetAt; !at.IsZero() {
			resetAt = `"` + at.Format(time.RFC3339Nano) + `"`
		}
		if err = list.end(fmt.Sprintf(`,"recovery_codes_left":%d,"reset_at":%s`, factors.CodesLeft, resetAt)); err != nil || c.JSON {
			return err
		}
		fmt.Fprintf(p.Stdout, "\nRecovery codes left: %d.\n", factors.CodesLeft)
		if at := factors.User.FactorsResetAt; !at.IsZero() {
			fmt.Fprintf(p.Stdout, "A reset removes the second factors at %s. A sign-in with one of them cancels it.\n", moment(&at))
		}
		return nil
	})
}

// factorObject is a factor as JSON, with the field names of the contract.
func factorObject(f store.Factor) map[string]any {
	return map[string]any{
		"id": f.ID, "kind": f.Kind, "name": f.Name, "disabled": identity.IsDisabled(f), "created_at": f.CreatedAt, "last_used_at": used(f),
	}
}

// used is when a factor was last used; nil for never.
func used(f store.Factor) *time.Time {
	if f.LastUsedAt.IsZero() {
		return nil
	}
	return &f.LastUsedAt
}

type userResetFactorsCommand struct{ userShowCommand }

// Run begins a reset of the second factors of an account.
func (c *userResetFactorsCommand) Run(p *program) error {
	return p.withUser(c.Account, func(s *app.Services, user store.User) error {
		at, err := s.Accounts.ResetFactors(p.ctx, nil, user.ID)
		if e, ok := errors.AsType[*problem.Error](err); ok && e.Code == problem.NoSecondFactor {
			return fmt.Errorf("the account %s has no second factor", user.Username)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return p.printOne(true, map[string]any{"id": user.ID, "username": user.Username, "reset_at": at})
		}
		_, err = fmt.Fprintf(p.Stdout, "Revoked the sessions of %s. The second factors are removed at %s, unless a sign-in with one of them cancels the reset.\n",
			user.Username, moment(&at))
		return err
	})
}
