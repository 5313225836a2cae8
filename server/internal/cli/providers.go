package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"sesame/server/internal/app"
	"sesame/server/internal/bootstrap"
	"sesame/server/internal/problem"
	"sesame/server/internal/upstream"
	"sesame/server/secret"
)

type providerAddCommand struct {
	Name          string   `arg:"" help:"The name, which is part of the redirect address: lowercase letters, digits and hyphens."`
	Issuer        string   `placeholder:"URL" help:"The issuer of OpenID Connect, such as https://accounts.google.com. With --github, the address of your GitHub Enterprise Server."`
	GitHub        bool     `name:"github" help:"The provider is GitHub, which has no OpenID Connect for people."`
	ClientID      string   `name:"client-id" required:"" help:"The client_id that the provider has given this server."`
	SecretFile    string   `name:"client-secret-file" placeholder:"FILE" help:"File with the client secret, which only its owner and its group can read. Without it the client is public."`
	Label         string   `help:"What people read on the button. (default: the name)"`
	Scope         []string `help:"A scope to ask the provider for; may be repeated. (default: openid, email and profile; for GitHub read:user and user:email)"`
	LinkAddresses bool     `name:"link-verified-addresses" help:"Link a new identity to the account that has confirmed its address, if the provider has verified it. Only for a provider that you trust with every account."`
	JSON          bool     `help:"Print the provider as JSON."`
}

// Run adds a provider, and looks whether it can be reached.
func (c *providerAddCommand) Run(p *program) error {
	n := upstream.NewProvider{
		Name: c.Name, Kind: upstream.OpenID, Label: c.Label, Issuer: c.Issuer, ClientID: c.ClientID, Scopes: c.Scope, LinkAddresses: c.LinkAddresses,
	}
	if c.GitHub {
		n.Kind = upstream.GitHub
	} else if c.Issuer == "" {
		return usagef("a provider needs --issuer or --github\nexample: sesame provider add google --issuer https://accounts.google.com --client-id ID --client-secret-file FILE")
	}
	var err error
	if n.ClientSecret, err = secretOf(c.SecretFile); err != nil {
		return err
	}
	return p.withService(func(s *app.Services) error {
		provider, err := s.Upstream.Create(p.ctx, nil, n)
		if err != nil {
			return explainAt(err, providerPlaces(c.Name))
		}
		if err = p.printProvider(s, provider, c.JSON); err != nil {
			return err
		}
		if err = s.Upstream.Test(p.ctx, provider); err != nil {
			fmt.Fprintf(p.Stderr, "sesame: the provider was added, but its discovery document cannot be read from here: %v\n", err)
		}
		return nil
	})
}

// secretOf reads the secret of a file; none if the file has no name.
func secretOf(file string) (secret.Text, error) {
	if file == "" {
		return secret.Text{}, nil
	}
	return bootstrap.ReadSecret(file)
}

// providerPlaces says by which arguments the fields of a provider are given.
func providerPlaces(name string) map[string]string {
	return map[string]string{
		"name": fmt.Sprintf("<name> %q", name), "issuer": "--issuer", "client_id": "--client-id", "client_secret": "--client-secret-file", "label": "--label", "scopes": "--scope",
	}
}

// printProvider prints a provider without its secret.
func (p *program) printProvider(s *app.Services, provider upstream.Provider, asJSON bool) error {
	return p.printOne(asJSON, providerObject(s, provider), [][2]string{
		{"name", provider.Name},
		{"label", provider.Label},
		{"kind", provider.Kind},
		{"issuer", provider.Issuer},
		{"client_id", provider.ClientID},
		{"client_secret", map[bool]string{true: "set", false: "none"}[provider.HasSecret()]},
		{"scopes", strings.Join(provider.Scopes, " ")},
		{"link_verified_addresses", yesOrNo(provider.LinkAddresses)},
		{"redirect_uri", s.Upstream.RedirectURI(provider.Name)},
	}...)
}

// providerObject is a provider as JSON, without its secret.
func providerObject(s *app.Services, p upstream.Provider) map[string]any {
	return map[string]any{
		"name": p.Name, "label": p.Label, "kind": p.Kind, "issuer": p.Issuer, "client_id": p.ClientID, "has_secret": p.HasSecret(), "scopes": listOf(p.Scopes),
		"link_verified_addresses": p.LinkAddresses, "redirect_uri": s.Upstream.RedirectURI(p.Name), "created_at": p.CreatedAt,
	}
}

type providerUpdateCommand struct {
	Name          string   `arg:"" help:"The name."`
	ClientID      *string  `name:"client-id" help:"Another client_id. Providers with pairwise subjects, such as Apple, call people by other names then."`
	SecretFile    string   `name:"client-secret-file" placeholder:"FILE" help:"File with another client secret."`
	Label         *string  `help:"What people read on the button."`
	Scope         []string `help:"The scopes to ask for, in place of those before; may be repeated."`
	LinkAddresses *bool    `name:"link-verified-addresses" negatable:"" help:"Whether a new identity is linked to the account that has confirmed its verified address."`
	JSON          bool     `help:"Print the provider as JSON."`
}

// Run changes a provider.
func (c *providerUpdateCommand) Run(p *program) error {
	change := upstream.Change{Label: c.Label, ClientID: c.ClientID, Scopes: c.Scope, LinkAddresses: c.LinkAddresses}
	if c.SecretFile != "" {
		text, err := secretOf(c.SecretFile)
		if err != nil {
			return err
		}
		change.ClientSecret = &text
	}
	return p.withService(func(s *app.Services) error {
		provider, err := s.Upstream.Update(p.ctx, nil, c.Name, change)
		if err != nil {
			return providerFault(c.Name, err)
		}
		return p.printProvider(s, provider, c.JSON)
	})
}

// providerFault explains the error of a command on a provider.
func providerFault(name string, err error) error {
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Code == problem.NotFound {
		return fmt.Errorf("unknown provider %q; list them with: sesame provider list", name)
	}
	return explainAt(err, providerPlaces(name))
}

type providerShowCommand struct {
	Name string `arg:"" help:"The name."`
	JSON bool   `help:"Print JSON."`
}

// Run shows a provider.
func (c *providerShowCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		provider, err := s.Upstream.Provider(p.ctx, c.Name)
		if err != nil {
			return providerFault(c.Name, err)
		}
		return p.printProvider(s, provider, c.JSON)
	})
}

type providerListCommand struct {
	JSON bool `help:"Print JSON."`
}

// Run lists the providers.
func (c *providerListCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		providers, err := s.Upstream.Providers(p.ctx)
		if err != nil {
			return err
		}
		list := p.newListing(c.JSON, "NAME", "LABEL", "ISSUER", "CLIENT ID", "LINKS ADDRESSES", "CREATED AT")
		for _, provider := range providers {
			err = list.add(providerObject(s, provider), provider.Name, provider.Label, provider.Issuer, provider.ClientID, yesOrNo(provider.LinkAddresses), moment(&provider.CreatedAt))
			if err != nil {
				return err
			}
		}
		return list.end("")
	})
}

type providerRemoveCommand struct {
	Name string `arg:"" help:"The name."`
	JSON bool   `help:"Print JSON."`
}

// Run removes a provider.
func (c *providerRemoveCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		identities, err := s.Upstream.Delete(p.ctx, nil, c.Name)
		if err != nil {
			return providerFault(c.Name, err)
		}
		if c.JSON {
			return json.NewEncoder(p.Stdout).Encode(map[string]any{"name": c.Name, "identities": identities, "deleted": true})
		}
		_, err = fmt.Fprintf(p.Stdout, "Removed the provider %s. %d identities stay in the database, and can sign in again if you add a provider with its issuer.\n", c.Name, identities)
		return err
	})
}
