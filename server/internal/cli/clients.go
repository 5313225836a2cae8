package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/oauth"
)

type clientCreateCommand struct {
	Name            string   `arg:"" help:"The name of the client."`
	Scope           []string `help:"A scope that the client may have for itself, such as users:write, or in tokens of people, such as me:delete; may be repeated."`
	NoPasswordGrant bool     `help:"Do not let people log in through the client."`
	JSON            bool     `help:"Print the client as JSON."`
}

// Run creates a service client and prints its secret, which is not stored.
func (c *clientCreateCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		client, made, err := s.OAuth.CreateClient(p.ctx, oauth.NewClient{Name: c.Name, Scopes: c.Scope, NoPasswordGrant: c.NoPasswordGrant})
		if err != nil {
			return explain(err)
		}
		if c.JSON {
			shown := clientObject(client)
			shown["client_secret"] = made.Reveal()
			return json.NewEncoder(p.Stdout).Encode(shown)
		}
		table := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
		row(table, "client_id", client.ID)
		row(table, "client_secret", made.Reveal())
		row(table, "name", client.Name)
		row(table, "scopes", strings.Join(client.Scopes, " "))
		row(table, "password grant", yesOrNo(client.PasswordGrant))
		if err = table.Flush(); err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.Stdout, "\nCopy the secret now: it is not stored and cannot be shown again.")
		return err
	})
}

type clientListCommand struct {
	JSON bool `help:"Print JSON."`
}

// Run lists the service clients.
func (c *clientListCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		clients, err := s.OAuth.Clients(p.ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			list := make([]map[string]any, len(clients))
			for i, client := range clients {
				list[i] = clientObject(client)
			}
			return json.NewEncoder(p.Stdout).Encode(list)
		}
		table := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
		row(table, "client_id", "name", "scopes", "password grant", "created")
		for _, client := range clients {
			row(table, client.ID, client.Name, strings.Join(client.Scopes, " "),
				yesOrNo(client.PasswordGrant), client.CreatedAt.Format(time.RFC3339))
		}
		return table.Flush()
	})
}

type clientDeleteCommand struct {
	ID   string `arg:"" help:"The client_id."`
	JSON bool   `help:"Print JSON."`
}

// Run deletes a service client.
func (c *clientDeleteCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		if err := s.OAuth.DeleteClient(p.ctx, c.ID); err != nil {
			return explain(err)
		}
		if c.JSON {
			return json.NewEncoder(p.Stdout).Encode(map[string]any{"client_id": c.ID, "deleted": true})
		}
		_, err := fmt.Fprintf(p.Stdout, "Deleted the client %s; Sesame refuses its tokens from now on.\n", c.ID)
		return err
	})
}

// withService opens the database and runs a command on the domain.
func (p *program) withService(do func(*app.Services) error) error {
	rules, err := p.rules()
	if err != nil {
		return err
	}
	a, err := app.Open(p.ctx, p.options())
	if err != nil {
		return err
	}
	defer a.Close()
	return do(a.MakeServices(rules))
}

// clientObject is a client as JSON, without its secret.
func clientObject(c oauth.Client) map[string]any {
	scopes := c.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	return map[string]any{
		"client_id": c.ID, "name": c.Name, "scopes": scopes, "password_grant": c.PasswordGrant, "created_at": c.CreatedAt,
	}
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
