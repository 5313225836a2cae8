package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sesame/server/internal/account"
	"sesame/server/internal/app"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// userCommands manage accounts on the machine itself, with the rights of an administrator.
type userCommands struct {
	Contract string `type:"existingfile" placeholder:"FILE" help:"Your own openapi.yaml, if the server has operations beside Sesame's: its scopes can be granted, too."`

	Create       userCreateCommand       `cmd:"" example:"sesame user create ann --email ann@example.com" help:"Create an account. Prompts for the password, or reads it from standard input."`
	List         userListCommand         `cmd:"" example:"sesame user list --q ann" help:"List the accounts, and count those with an outdated password hash."`
	Show         userShowCommand         `cmd:"" example:"sesame user show ann" help:"Show an account."`
	Disable      userDisableCommand      `cmd:"" example:"sesame user disable ann" help:"Disable an account, and revoke its sessions."`
	Enable       userEnableCommand       `cmd:"" example:"sesame user enable ann" help:"Enable a disabled account."`
	Delete       userDeleteCommand       `cmd:"" example:"sesame user delete ann" help:"Delete an account for ever. Asks for the username as a confirmation."`
	Verify       userVerifyCommand       `cmd:"" example:"sesame user verify ann" help:"Mark the email address of an account as verified. Accounts that only claimed the same address lose it."`
	Sessions     userSessionsCommand     `cmd:"" example:"sesame user sessions ann --end-all" help:"List the sessions of an account, or end them."`
	Events       userEventsCommand       `cmd:"" example:"sesame user events ann --limit 20" help:"List what happened to an account, the latest first."`
	Unlock       userUnlockCommand       `cmd:"" example:"sesame user unlock ann" help:"End the waiting period after wrong passwords, so that the owner can log in at once."`
	Grant        userGrantCommand        `cmd:"" example:"sesame user grant ann users:read users:write" help:"Grant scopes to an account, or revoke them."`
	Invite       userInviteCommand       `cmd:"" example:"sesame user invite ann" help:"Mail the owner of an account without a password a link at which they choose one."`
	MailReset    userMailResetCommand    `cmd:"" example:"sesame user mail-reset ann" help:"Mail the owner of an account a link at which they choose a new password."`
	SetPassword  userSetPasswordCommand  `cmd:"" example:"sesame user set-password ann" help:"Set an account's password, and revoke its sessions. Prompts for it, or reads it from standard input."`
	Factors      userFactorsCommand      `cmd:"" example:"sesame user factors ann" help:"List the second factors of an account, and count its recovery codes."`
	ResetFactors userResetFactorsCommand `cmd:"" example:"sesame user reset-factors ann" help:"Revoke the sessions of an account, and remove its second factors after a day, for a person who has lost them. A sign-in with a second factor cancels it."`
	Tokens       userTokensCommand       `cmd:"" example:"sesame user tokens ann" help:"List the personal access tokens of an account, or revoke them."`
	AddToken     userAddTokenCommand     `cmd:"" example:"sesame user add-token ann --name backup --scope me:read" help:"Create a personal access token for the scripts of an account, and print it once."`
	Import       userImportCommand       `cmd:"" example:"sesame user import users.jsonl" help:"Create accounts from a file, with password hashes of another application."`
	Export       userExportCommand       `cmd:"" example:"sesame user export users.jsonl" help:"Write all accounts with their password hashes as JSON lines, for import."`
}

type userCreateCommand struct {
	Username      string   `arg:"" help:"The username."`
	Email         string   `placeholder:"ADDRESS" help:"The email address."`
	EmailVerified bool     `help:"Mark the address as verified: it can then be used to log in."`
	FullName      string   `placeholder:"NAME" help:"The full name."`
	Scope         []string `help:"A scope such as users:write, beyond those that every account has; may be repeated."`
	Administrator bool     `help:"Grant every scope of administrators."`
	Disabled      bool     `help:"Refuse sign-ins."`
	Invite        bool     `help:"Mail the owner a link at which they choose the password, in place of asking for it here. Needs --email."`
	JSON          bool     `help:"Print the account as JSON."`
}

// Run creates an account with the rights of an administrator. The contract checks the arguments as it checks a request.
func (c *userCreateCommand) Run(p *program) error {
	rules, err := p.rules()
	if err != nil {
		return err
	}
	if err = p.checkScopes("--scope", c.Scope, rules.Scopes().Declared); err != nil { // before a person types the password
		return err
	}
	if c.Administrator {
		c.Scope = append(c.Scope, rules.Scopes().Administrative...)
	}
	if c.Invite {
		return p.withService(c.invite(p))
	}
	plain, err := p.readPassword("user create " + lastWord(c.Username))
	if err != nil {
		return err
	}
	if err = rules.Operation("createUser").CheckBody(userBody(c.Username, c.Email, c.FullName, plain)); err != nil {
		return usageError{explainAt(err, c.places())}
	}
	return p.withService(func(s *app.Services) error {
		user, err := s.Accounts.CreateUser(p.ctx, account.Registration{
			Username: c.Username, Email: c.Email, EmailVerified: c.EmailVerified, FullName: c.FullName,
			Password: secret.New(plain), Scopes: c.Scope, Disabled: c.Disabled,
		})
		if err != nil {
			return explainAt(err, c.places())
		}
		return p.printUser(s, user, c.JSON)
	})
}

// invite creates an account whose owner is mailed an invitation.
func (c *userCreateCommand) invite(p *program) func(*app.Services) error {
	return func(s *app.Services) error {
		switch {
		case c.Email == "":
			return usagef("--invite needs --email, the address to which the invitation is mailed")
		case c.EmailVerified || c.Disabled:
			return usagef("--invite cannot be combined with --email-verified and --disabled: the person confirms the address by the link, and then signs in")
		}
		user, err := s.Accounts.Invite(p.ctx, nil, account.Registration{Username: c.Username, Email: c.Email, FullName: c.FullName, Scopes: c.Scope})
		if err != nil {
			return explainAt(err, c.places())
		}
		return p.printUser(s, user, c.JSON)
	}
}

// places are the places of the fields of POST /users on the command line, with their values.
func (c *userCreateCommand) places() map[string]string {
	return map[string]string{
		"username": fmt.Sprintf("<username> %q", c.Username), "email": fmt.Sprintf("--email %q", c.Email), "full_name": fmt.Sprintf("--full-name %q", c.FullName),
	}
}

// userBody is the body of POST /users for an account.
func userBody(username, email, fullName, password string) map[string]any {
	body := map[string]any{"username": username, "password": password}
	if email != "" {
		body["email"] = email
	}
	if fullName != "" {
		body["full_name"] = fullName
	}
	return body
}

type userShowCommand struct {
	Account string `arg:"" help:"The username, the id, or the verified email address."`
	JSON    bool   `help:"Print JSON."`
}

// Run shows an account.
func (c *userShowCommand) Run(p *program) error {
	return p.onUser(c.Account, c.JSON, func(_ *app.Services, user store.User) (store.User, error) { return user, nil })
}

type userDisableCommand struct{ userShowCommand }

// Run disables an account.
func (c *userDisableCommand) Run(p *program) error { return p.setDisabled(c.userShowCommand, true) }

type userEnableCommand struct{ userShowCommand }

// Run enables an account.
func (c *userEnableCommand) Run(p *program) error { return p.setDisabled(c.userShowCommand, false) }

func (p *program) setDisabled(c userShowCommand, disabled bool) error {
	return p.onUser(c.Account, c.JSON, func(s *app.Services, user store.User) (store.User, error) {
		return s.Accounts.UpdateUser(p.ctx, nil, user.ID, account.UserChange{Disabled: &disabled})
	})
}

type userGrantCommand struct {
	userShowCommand
	Scopes []string `arg:"" name:"scope" help:"Scopes such as users:write."`
	Revoke bool     `help:"Revoke the scopes."`
}

// Run grants or revokes scopes.
func (c *userGrantCommand) Run(p *program) error {
	return p.onUser(c.Account, c.JSON, func(s *app.Services, user store.User) (store.User, error) {
		if err := p.checkScopes("<scope>", c.Scopes, s.Identity.Scopes.Declared); err != nil {
			return user, err
		}
		change := account.UserChange{Grant: c.Scopes}
		if c.Revoke {
			change = account.UserChange{Revoke: c.Scopes}
		}
		return s.Accounts.UpdateUser(p.ctx, nil, user.ID, change)
	})
}

type userSetPasswordCommand struct{ userShowCommand }

// Run sets a password.
func (c *userSetPasswordCommand) Run(p *program) error {
	return p.onUser(c.Account, c.JSON, func(s *app.Services, user store.User) (store.User, error) {
		plain, err := p.readPassword("user set-password " + lastWord(c.Account))
		if err != nil {
			return user, err
		}
		return user, s.Accounts.SetPassword(p.ctx, user.ID, secret.New(plain))
	})
}

// onUser finds an account, applies do, and prints the result.
func (p *program) onUser(account string, asJSON bool, do func(*app.Services, store.User) (store.User, error)) error {
	return p.withUser(account, func(s *app.Services, user store.User) error {
		user, err := do(s, user)
		if err != nil {
			return err
		}
		return p.printUser(s, user, asJSON)
	})
}

// withUser finds an account and applies do.
func (p *program) withUser(account string, do func(*app.Services, store.User) error) error {
	return p.withService(func(s *app.Services) error {
		user, err := s.Accounts.FindUser(p.ctx, account)
		if e, ok := errors.AsType[*problem.Error](err); ok && e.Code == problem.NotFound {
			return fmt.Errorf("unknown account %q: no account has this username, id or verified email address; list them with: sesame user list", account)
		}
		if err == nil {
			err = do(s, user)
		}
		if e, ok := errors.AsType[*problem.Error](err); ok && e.Code == problem.LastAdministrator {
			return fmt.Errorf("%s is the last administrator; grant users:write to another account first: sesame user grant NAME users:write", user.Username)
		}
		return explain(err)
	})
}

// checkScopes returns an error for a scope that the contract does not declare. place is where it was given.
func (p *program) checkScopes(place string, scopes, declared []string) error {
	for _, scope := range scopes {
		if slices.Contains(declared, scope) {
			continue
		}
		hint := ""
		if p.contract == "" {
			hint = " (--contract FILE adds those of your own document)"
		}
		return usagef("unknown scope %q in %s; the contract declares %s%s", scope, place, strings.Join(declared, ", "), hint)
	}
	return nil
}

func (p *program) printUser(s *app.Services, u store.User, asJSON bool) error {
	return p.printOne(asJSON, userObject(s, u),
		[2]string{"id", u.ID},
		[2]string{"username", u.Username},
		[2]string{"email", emailState(u)},
		[2]string{"full_name", u.FullName},
		[2]string{"disabled", yesOrNo(u.Disabled)},
		[2]string{"scopes", strings.Join(s.Identity.Scopes.OfUser(u), " ")},
		[2]string{"created_at", moment(&u.CreatedAt)},
	)
}

// userObject is an account as JSON, with the field names of the contract.
func userObject(s *app.Services, u store.User) map[string]any {
	object := map[string]any{
		"id": u.ID, "username": u.Username, "email": orNil(u.Email), "email_verified": u.EmailVerified, "full_name": orNil(u.FullName),
		"disabled": u.Disabled, "scopes": s.Identity.Scopes.OfUser(u), "created_at": u.CreatedAt, "updated_at": u.UpdatedAt,
	}
	if u.Metadata != "" {
		object[metadataColumn] = json.RawMessage(u.Metadata)
	}
	return object
}

func emailState(u store.User) string {
	if u.EmailVerified {
		return u.Email + " (verified)"
	}
	return u.Email
}
