package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"sesame/server/internal/account"
	"sesame/server/internal/app"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// userCommands manage accounts on the machine itself, with the rights of an administrator.
type userCommands struct {
	Contract string `type:"existingfile" placeholder:"FILE" help:"Your own openapi.yaml, if the server has operations beside Sesame's: its scopes can be granted, too."`

	Create      userCreateCommand      `cmd:"" help:"Create an account. Prompts for the password, or reads it from standard input."`
	List        userListCommand        `cmd:"" help:"List the accounts, and count those with an outdated password hash."`
	Show        userShowCommand        `cmd:"" help:"Show an account."`
	Disable     userDisableCommand     `cmd:"" help:"Disable an account, and revoke its sessions."`
	Enable      userEnableCommand      `cmd:"" help:"Enable a disabled account."`
	Grant       userGrantCommand       `cmd:"" help:"Grant scopes to an account, or revoke them."`
	SetPassword userSetPasswordCommand `cmd:"" help:"Set an account's password, and revoke its sessions. Prompts for it, or reads it from standard input."`
	Import      userImportCommand      `cmd:"" help:"Create accounts from a file, with password hashes of another application."`
	Export      userExportCommand      `cmd:"" help:"Write all accounts with their password hashes as JSON lines, for import."`
}

type userCreateCommand struct {
	Username      string   `arg:"" help:"The username."`
	Email         string   `help:"The email address."`
	EmailVerified bool     `help:"Mark the address as verified: it can then be used to log in."`
	FullName      string   `help:"The full name."`
	Scope         []string `help:"A scope such as users:write, beyond those that every account has; may be repeated."`
	JSON          bool     `help:"Print the account as JSON."`
}

// Run creates an account with the rights of an administrator. The contract checks the arguments as it checks a request.
func (c *userCreateCommand) Run(p *program) error {
	rules, err := p.rules()
	if err != nil {
		return err
	}
	plain, err := p.readPassword()
	if err != nil {
		return err
	}
	if err = rules.Operation("createUser").CheckBody(userBody(c.Username, c.Email, c.FullName, plain)); err != nil {
		return explain(err)
	}
	return p.withService(func(s *app.Services) error {
		user, err := s.Accounts.CreateUser(p.ctx, account.Registration{
			Username: c.Username, Email: c.Email, EmailVerified: c.EmailVerified, FullName: c.FullName,
			Password: secret.New(plain), Scopes: c.Scope,
		})
		if err != nil {
			return explain(err)
		}
		return p.printUser(s, user, c.JSON)
	})
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

type userListCommand struct {
	Prefix   string `name:"q" placeholder:"TEXT" help:"Only accounts whose username or email address begins with TEXT."`
	Disabled *bool  `negatable:"" help:"Only disabled accounts; with --no-disabled, only enabled ones."`
	JSON     bool   `help:"Print JSON."`
}

// Run lists the accounts, one database page at a time.
func (c *userListCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		print, end := p.userTable(s, c.JSON)
		query := account.UserQuery{Prefix: c.Prefix, Disabled: c.Disabled, Limit: 500}
		for {
			users, next, err := s.Accounts.ListUsers(p.ctx, query)
			if err != nil {
				return err
			}
			for _, user := range users {
				print(user)
			}
			if query.Cursor = next; next == "" {
				break
			}
		}
		old, err := s.Accounts.CountOldHashes(p.ctx)
		if err != nil {
			return err
		}
		return end(old)
	})
}

// userTable returns a function that prints an account, and one that ends the list with the number of outdated hashes.
func (p *program) userTable(s *app.Services, asJSON bool) (print func(store.User), end func(oldHashes int64) error) {
	if asJSON {
		separator := `{"users":[`
		print = func(u store.User) {
			text, _ := json.Marshal(userObject(s, u)) // texts, booleans and times
			fmt.Fprintf(p.Stdout, "%s\n%s", separator, text)
			separator = ","
		}
		return print, func(old int64) error {
			if separator != "," {
				fmt.Fprint(p.Stdout, separator)
			}
			_, err := fmt.Fprintf(p.Stdout, "\n],\"old_hashes\":%d}\n", old)
			return err
		}
	}
	table := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	row(table, "username", "id", "email", "state", "scopes", "created")
	count := 0
	print = func(u store.User) {
		row(table, u.Username, u.ID, emailState(u), state(u), granted(u), u.CreatedAt.Format(time.RFC3339))
		if count++; count%1000 == 0 {
			table.Flush() // a table of a million accounts would otherwise stay in memory
		}
	}
	return print, func(old int64) error {
		if err := table.Flush(); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.Stdout, "\n%d accounts listed. %d accounts have an outdated password hash, which the next login replaces.\n", count, old)
		return err
	}
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
	plain, err := p.readPassword()
	if err != nil {
		return err
	}
	return p.onUser(c.Account, c.JSON, func(s *app.Services, user store.User) (store.User, error) {
		return user, s.Accounts.SetPassword(p.ctx, user.ID, secret.New(plain))
	})
}

// onUser finds an account, applies do, and prints the result.
func (p *program) onUser(account string, asJSON bool, do func(*app.Services, store.User) (store.User, error)) error {
	return p.withService(func(s *app.Services) error {
		user, err := s.Accounts.FindUser(p.ctx, account)
		if err == nil {
			user, err = do(s, user)
		}
		if err != nil {
			return explain(err)
		}
		return p.printUser(s, user, asJSON)
	})
}

func (p *program) printUser(s *app.Services, u store.User, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.Stdout).Encode(userObject(s, u))
	}
	table := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	for _, line := range [][]string{
		{"id", u.ID},
		{"username", u.Username},
		{"email", emailState(u)},
		{"full name", u.FullName},
		{"state", state(u)},
		{"scopes", strings.Join(s.Identity.Scopes.OfUser(u), " ")},
		{"created", u.CreatedAt.Format(time.RFC3339)},
	} {
		row(table, line...)
	}
	return table.Flush()
}

// userObject is an account as JSON, with the field names of the contract.
func userObject(s *app.Services, u store.User) map[string]any {
	return map[string]any{
		"id": u.ID, "username": u.Username, "email": u.Email, "email_verified": u.EmailVerified, "full_name": u.FullName,
		"disabled": u.Disabled, "scopes": s.Identity.Scopes.OfUser(u), "created_at": u.CreatedAt, "updated_at": u.UpdatedAt,
	}
}

func emailState(u store.User) string {
	if u.EmailVerified {
		return u.Email + " (confirmed)"
	}
	return u.Email
}

func state(u store.User) string {
	if u.Disabled {
		return "disabled"
	}
	return "enabled"
}

func granted(u store.User) string {
	if u.Scopes == "" {
		return "-"
	}
	return u.Scopes
}
