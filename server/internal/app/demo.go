package app

import (
	"context"
	"errors"
	"slices"

	"sesame/server/internal/account"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// The accounts that --demo makes: that of FastAPI's tutorial, and an administrator, who has every scope of the contract.
const (
	DemoUsername      = "johndoe"
	DemoAdministrator = "admin"
	DemoPassword      = "knock-knock"
)

// Demo makes the accounts of --demo, or enables them again with every scope that they should have. Without demo it disables them, before the first request, as
// long as they have the password that everybody can read here. It needs MakeServices.
func (a *App) Demo(ctx context.Context, demo bool) error {
	return errors.Join(
		a.demoAccount(ctx, demo, account.Registration{Username: DemoUsername, Email: "johndoe@example.com", FullName: "John Doe"}),
		a.demoAccount(ctx, demo, account.Registration{
			Username: DemoAdministrator, FullName: "Demo Administrator", Scopes: slices.Clone(a.services.Identity.Scopes.Declared),
		}))
}

func (a *App) demoAccount(ctx context.Context, demo bool, r account.Registration) error {
	r.Password = secret.New(DemoPassword)
	user, known, err := a.services.Accounts.HasPassword(ctx, r.Username, r.Password)
	switch {
	case err != nil:
		return err
	case demo && user.ID == "":
		_, err = a.services.Accounts.CreateUser(ctx, r)
		if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.UsernameTaken {
			return nil // another server that starts at the same time was first
		}
		return err
	case demo && !known:
		a.Log.Warn("--demo leaves this account as it is, because it has another password", "username", r.Username)
		return nil
	case !known:
		return nil
	}
	change := account.UserChange{EvenLastAdministrator: true}
	if disable := !demo; user.Disabled != disable {
		change.Disabled = &disable
	}
	if demo { // the contract may declare more scopes than at the last start
		has := a.services.Identity.Scopes.OfUser(user)
		change.Grant = slices.DeleteFunc(r.Scopes, func(scope string) bool { return slices.Contains(has, scope) })
	}
	if change.Disabled == nil && len(change.Grant) == 0 {
		return nil
	}
	if _, err = a.services.Accounts.UpdateUser(ctx, nil, user.ID, change); err == nil && !demo {
		a.Log.Warn("the demo account is disabled, since its password is known and the server was started without --demo; "+
			"to make an administrator of your own: sesame user create NAME --administrator", "username", r.Username)
	}
	return err
}
