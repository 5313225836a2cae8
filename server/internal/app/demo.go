package app

import (
	"context"
	"errors"
	"fmt"

	"sesame/server/internal/account"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// The account that --demo makes is the one of FastAPI's tutorial.
const (
	DemoUsername = "johndoe"
	DemoPassword = "knock-knock"
)

// Demo makes the account of --demo, or enables it again. Without demo it disables the account, before the first
// request, as long as the account has the password that everybody can read here. It needs MakeServices.
func (a *App) Demo(ctx context.Context, demo bool) error {
	user, known, err := a.services.Accounts.HasPassword(ctx, DemoUsername, secret.New(DemoPassword))
	switch {
	case err != nil:
		return err
	case demo && user.ID == "":
		_, err = a.services.Accounts.CreateUser(ctx, account.Registration{
			Username: DemoUsername, Email: "johndoe@example.com", FullName: "John Doe", Password: secret.New(DemoPassword),
		})
		if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.UsernameTaken {
			return nil // another server that starts at the same time was first
		}
		return err
	case !known || user.Disabled == !demo:
		return nil
	}
	disable := !demo
	_, err = a.services.Accounts.UpdateUser(ctx, nil, user.ID, account.UserChange{Disabled: &disable})
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.LastAdministrator {
		return fmt.Errorf("the account %s has the known password of --demo and is the last administrator, so it cannot be disabled; "+
			"run: sesame user set-password %s", DemoUsername, DemoUsername)
	}
	if err == nil && disable {
		a.Log.Warn("the demo account is disabled, since its password is known and the server was started without --demo", "username", DemoUsername)
	}
	return err
}
