package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"sesame/server/internal/auth"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// The account that --demo makes is the one of FastAPI's tutorial.
const (
	demoUsername = "johndoe"
	demoPassword = "knock-knock"
)

// demoAccount makes the account of --demo, or enables it again. Without --demo it disables the account, before
// the first request, as long as the account has the password that everybody can read here.
func (c *serveCommand) demoAccount(ctx context.Context, service *auth.Service, log *slog.Logger) error {
	user, known, err := service.HasPassword(ctx, demoUsername, secret.New(demoPassword))
	switch {
	case err != nil:
		return err
	case c.Demo && user.ID == "":
		_, err = service.CreateUser(ctx, auth.Registration{
			Username: demoUsername, Email: "johndoe@example.com", FullName: "John Doe", Password: secret.New(demoPassword),
		})
		if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.UsernameTaken {
			return nil // another server that starts at the same time was first
		}
		return err
	case !known || user.Disabled == !c.Demo:
		return nil
	}
	disable := !c.Demo
	_, err = service.UpdateUser(ctx, nil, user.ID, auth.UserChange{Disabled: &disable})
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.LastAdministrator {
		return fmt.Errorf("the account %s has the known password of --demo and is the last administrator, so it cannot be disabled; "+
			"run: sesame user set-password %s", demoUsername, demoUsername)
	}
	if err == nil && disable {
		log.Warn("the demo account is disabled, since its password is known and the server was started without --demo", "username", demoUsername)
	}
	return err
}
