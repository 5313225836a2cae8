package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

type userTokensCommand struct {
	userShowCommand
	Revoke []string `placeholder:"ID" help:"Revoke the token with this id; may be repeated."`
}

// Run revokes the personal access tokens that it is given, and lists those that are left.
func (c *userTokensCommand) Run(p *program) error {
	return p.withUser(c.Account, func(s *app.Services, user store.User) error {
		for _, id := range c.Revoke {
			err := s.Identity.RevokePersonalTokenOf(p.ctx, nil, user.ID, strings.ToLower(id))
			if e, ok := errors.AsType[*problem.Error](err); ok && e.Code == problem.NotFound {
				return fmt.Errorf("unknown token %q in --revoke; list those of %s with: sesame user tokens %s", id, user.Username, lastWord(user.Username))
			}
			if err != nil {
				return err
			}
		}
		tokens, err := s.Identity.PersonalTokensOf(p.ctx, user.ID)
		if err != nil {
			return err
		}
		list := p.newListing(c.JSON, "ID", "NAME", "SCOPES", "CREATED AT", "LAST USED AT", "EXPIRES AT")
		for _, t := range tokens {
			if err = list.add(tokenObject(t), t.ID, t.Name, t.Scope, moment(&t.CreatedAt), moment(usedToken(t)), moment(&t.ExpiresAt)); err != nil {
				return err
			}
		}
		return list.end("")
	})
}

// tokenObject is a personal access token as JSON, with the field names of the contract.
func tokenObject(t store.PersonalToken) map[string]any {
	return map[string]any{
		"id": t.ID, "name": t.Name, "scopes": strings.Fields(t.Scope), "created_at": t.CreatedAt, "last_used_at": usedToken(t), "expires_at": t.ExpiresAt,
	}
}

// usedToken is when a token was last used; nil for never.
func usedToken(t store.PersonalToken) *time.Time {
	if t.LastUsedAt.IsZero() {
		return nil
	}
	return &t.LastUsedAt
}

type userAddTokenCommand struct {
	userShowCommand
	Name  string   `required:"" placeholder:"TEXT" help:"What the token is for."`
	Scope []string `required:"" help:"A scope of the account that the token has, such as me:read; may be repeated."`
	Days  int      `default:"90" placeholder:"N" help:"For how many days the token is valid, at most 366."`
}

// Run makes a personal access token for an account and prints it. It is not stored.
func (c *userAddTokenCommand) Run(p *program) error {
	rules, err := p.rules()
	if err != nil {
		return err
	}
	if err = p.checkScopes("--scope", c.Scope, rules.Scopes().Declared); err != nil {
		return err
	}
	return p.withUser(c.Account, func(s *app.Services, user store.User) error {
		made, text, err := s.Identity.CreatePersonalTokenOf(p.ctx, user.ID, identity.NewPersonalToken{Name: c.Name, Scopes: c.Scope, Days: c.Days})
		if err != nil {
			return explainAt(err, c.places())
		}
		object := tokenObject(made)
		object["token"] = text.Reveal()
		err = p.printOne(c.JSON, object, [][2]string{
			{"token", text.Reveal()}, {"id", made.ID}, {"name", made.Name}, {"scopes", made.Scope}, {"expires_at", moment(&made.ExpiresAt)},
		}...)
		if err != nil || c.JSON {
			return err
		}
		_, err = fmt.Fprintln(p.Stdout, "\nCopy the token now: it is not stored and cannot be shown again.")
		return err
	})
}

// places are the places of the fields of POST /users/me/tokens on the command line, with their values.
func (c *userAddTokenCommand) places() map[string]string {
	places := map[string]string{"name": fmt.Sprintf("--name %q", c.Name), "expires_in_days": fmt.Sprintf("--days %d", c.Days)}
	for i, scope := range c.Scope {
		places[fmt.Sprintf("scopes/%d", i)] = fmt.Sprintf("--scope %q", scope)
	}
	return places
}
