package cli

import (
	"errors"
	"fmt"
	"time"

	"sesame/server/internal/account"
	"sesame/server/internal/app"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

type userListCommand struct {
	Prefix        string    `name:"q" placeholder:"TEXT" help:"Only accounts whose username or email address begins with TEXT."`
	Disabled      *bool     `negatable:"" help:"Only disabled accounts; with --no-disabled, only enabled ones."`
	Sort          string    `enum:"username,-username,created_at,-created_at" default:"username" help:"The order: username or created_at. A hyphen before it reverses the order: --sort=-created_at."`
	Scope         string    `placeholder:"SCOPE" help:"Only accounts with a scope such as users:write."`
	EmailVerified *bool     `negatable:"" help:"Only accounts with a verified address; with --no-email-verified, only those without one."`
	SecondFactor  *bool     `negatable:"" help:"Only accounts with a second factor; with --no-second-factor, only those without one."`
	CreatedAfter  time.Time `placeholder:"TIME" help:"Only accounts that were created at this time or later, such as 2026-01-31T00:00:00Z."`
	CreatedBefore time.Time `placeholder:"TIME" help:"Only accounts that were created before this time."`
	JSON          bool      `help:"Print JSON."`
}

// Run lists the accounts, one database page at a time.
func (c *userListCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		list := p.newListing(c.JSON, "USERNAME", "ID", "EMAIL", "DISABLED", "SCOPES", "CREATED AT")
		query := account.UserQuery{
			Prefix: c.Prefix, Sort: c.Sort, Disabled: c.Disabled, Scope: c.Scope, EmailVerified: c.EmailVerified, SecondFactor: c.SecondFactor,
			CreatedFrom: c.CreatedAfter, CreatedBefore: c.CreatedBefore, Limit: 500,
		}
		for {
			page, err := s.Accounts.ListUsers(p.ctx, query)
			if err != nil {
				return explain(err)
			}
			for _, u := range page.Users {
				if err = list.add(userObject(s, u), u.Username, u.ID, emailState(u), yesOrNo(u.Disabled), u.Scopes, moment(&u.CreatedAt)); err != nil {
					return err
				}
			}
			if query.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		old, err := s.Accounts.CountOldHashes(p.ctx)
		if err != nil {
			return err
		}
		if err = list.end(fmt.Sprintf(`,"old_hashes":%d`, old)); err != nil || c.JSON {
			return err
		}
		_, err = fmt.Fprintf(p.Stdout, "\nAccounts listed: %d. Accounts with an outdated password hash, which the next login replaces: %d.\n", list.count, old)
		return err
	})
}

type userInviteCommand struct{ userShowCommand }

// Run mails an invitation.
func (c *userInviteCommand) Run(p *program) error {
	return p.mailOwner(c.userShowCommand, func(s *app.Services, user store.User) error { return s.Accounts.ResendInvitation(p.ctx, nil, user.ID) })
}

type userMailResetCommand struct{ userShowCommand }

// Run mails a link at which a person chooses a new password.
func (c *userMailResetCommand) Run(p *program) error {
	return p.mailOwner(c.userShowCommand, func(s *app.Services, user store.User) error {
		return s.Accounts.StartPasswordReset(p.ctx, nil, user.ID)
	})
}

// mailOwner finds an account, has a mail sent to its owner, and says so.
func (p *program) mailOwner(c userShowCommand, mail func(*app.Services, store.User) error) error {
	return p.withUser(c.Account, func(s *app.Services, user store.User) error {
		err := mail(s, user)
		if e, ok := errors.AsType[*problem.Error](err); ok {
			return fmt.Errorf("%s gets no mail. %s", user.Username, e.Detail)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return p.printOne(true, userObject(s, user))
		}
		_, err = fmt.Fprintf(p.Stdout, "A link is mailed to %s.\n", user.Email)
		return err
	})
}
