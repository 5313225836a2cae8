package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
)

type clientCreateCommand struct {
	Name            string        `arg:"" help:"The name of the client."`
	Scope           []string      `help:"A scope that the client may have for itself, such as users:write, or in tokens of people, such as me:delete; may be repeated."`
	PasswordGrant   bool          `help:"Let people log in through the client with the password grant, which RFC 9700 advises against."`
	NoPasswordGrant bool          `hidden:"" help:"The default."`
	Public          bool          `help:"The client is a single-page, desktop or phone app, which can keep no secret."`
	ThirdParty      bool          `help:"Ask people whether they agree, since the client is not your own."`
	RedirectURI     []string      `name:"redirect-uri" help:"Where people are sent after they sign in, such as https://app.example.com/callback; may be repeated."`
	SignOutURI      []string      `name:"post-logout-redirect-uri" help:"Where people may be sent after they sign out; may be repeated."`
	OptionalPKCE    bool          `name:"optional-pkce" help:"Let the client sign people in without PKCE, if its library has none. Not for public clients."`
	Device          bool          `help:"Let people sign in through the client on devices without a browser, such as televisions and command lines (RFC 8628)."`
	LogoutURI       string        `name:"backchannel-logout-uri" help:"Where the server sends a logout token when a session ends, such as https://app.example.com/backchannel-logout."`
	AccessTokenTTL  time.Duration `name:"token-ttl" default:"0s" help:"How long its access tokens live; 0s: as the server's."`
	SessionTTL      time.Duration `name:"session-ttl" default:"0s" help:"How long its sessions last; 0s: as the server's."`
	Logo            string        `placeholder:"FILE" help:"A logo for the pages on which people sign in: a PNG, JPEG or WebP image of at most 32 KiB."`
	JSON            bool          `help:"Print the client as JSON."`
}

// Run creates a client and prints its secret, which is not stored.
func (c *clientCreateCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		declared, fit := s.Identity.Scopes.Declared, s.Identity.Scopes.OfClients()
		if err := p.checkScopes("--scope", c.Scope, declared); err != nil {
			return err
		}
		for _, scope := range c.Scope { // a third party's client must be given what it may ask people for
			if !c.ThirdParty && !slices.Contains(fit, scope) {
				return usagef("scope %q in --scope is over one's own account, and a client has no account; a client may have %s", scope, strings.Join(fit, ", "))
			}
		}
		logo, err := readLogo(c.Logo)
		if err != nil {
			return err
		}
		client, made, err := s.OAuth.CreateClient(p.ctx, nil, oauth.NewClient{
			Name: c.Name, Scopes: c.Scope, PasswordGrant: c.PasswordGrant, Public: c.Public, ThirdParty: c.ThirdParty,
			PKCEOptional: c.OptionalPKCE, RedirectURIs: c.RedirectURI, SignOutURIs: c.SignOutURI, DeviceGrant: c.Device, LogoutURI: c.LogoutURI,
			AccessTTL: c.AccessTokenTTL, SessionTTL: c.SessionTTL, Logo: logo,
		})
		if err != nil {
			return explainAt(err, clientPlaces(fmt.Sprintf("<name> %q", c.Name), c.RedirectURI, c.SignOutURI))
		}
		shown, lines := clientObject(s, client), clientLines(s, client)
		if !client.Public {
			shown["client_secret"] = made.Reveal()
			lines = slices.Insert(lines, 1, [2]string{"client_secret", made.Reveal()})
		}
		if err = p.printOne(c.JSON, shown, lines...); err != nil || c.JSON || client.Public {
			return err
		}
		_, err = fmt.Fprintln(p.Stdout, copyNow)
		return err
	})
}

const copyNow = "\nCopy the secret now: it is not stored and cannot be shown again."

// clientLines are a client as a person reads it.
func clientLines(s *app.Services, client oauth.Client) [][2]string {
	lines := [][2]string{
		{"client_id", client.ID},
		{"name", client.Name},
		{"kind", kindOf(client)},
		{"scopes", strings.Join(client.Scopes, " ")},
		{"password_grant", yesOrNo(client.PasswordGrant)},
		{"third_party", yesOrNo(client.ThirdParty)},
		{"device_grant", yesOrNo(client.DeviceGrant)},
	}
	for _, address := range client.RedirectURIs {
		lines = append(lines, [2]string{"redirect_uri", address})
	}
	for _, address := range client.SignOutURIs {
		lines = append(lines, [2]string{"post_logout_redirect_uri", address})
	}
	if client.LogoutURI != "" {
		lines = append(lines, [2]string{"backchannel_logout_uri", client.LogoutURI})
	}
	if address := s.OAuth.LogoURI(client); address != "" {
		lines = append(lines, [2]string{"logo_uri", address})
	}
	return lines
}

// clientPlaces says by which arguments the fields of a client are given.
func clientPlaces(name string, redirects, signOuts []string) map[string]string {
	places := map[string]string{
		"name": name, "scopes": "--scope", "redirect_uris": "--redirect-uri", "require_pkce": "--optional-pkce", "access_token_ttl": "--token-ttl", "session_ttl": "--session-ttl",
		"password_grant": "--password-grant", "device_grant": "--device", "backchannel_logout_uri": "--backchannel-logout-uri",
	}
	for i, address := range redirects {
		places[fmt.Sprintf("redirect_uris/%d", i)] = fmt.Sprintf("--redirect-uri %q", address)
	}
	for i, address := range signOuts {
		places[fmt.Sprintf("post_logout_redirect_uris/%d", i)] = fmt.Sprintf("--post-logout-redirect-uri %q", address)
	}
	return places
}

func kindOf(c oauth.Client) string {
	if c.Public {
		return "public"
	}
	return "confidential"
}

type clientListCommand struct {
	JSON bool `help:"Print JSON."`
}

// Run lists the service clients.
func (c *clientListCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		list := p.newListing(c.JSON, "CLIENT ID", "NAME", "REGISTRATION", "SCOPES", "PASSWORD GRANT", "CREATED AT")
		err := s.OAuth.EachClient(p.ctx, func(client oauth.Client) error {
			return list.add(clientObject(s, client), client.ID, client.Name, client.Registration, strings.Join(client.Scopes, " "),
				yesOrNo(client.PasswordGrant), moment(&client.CreatedAt))
		})
		if err != nil {
			return err
		}
		return list.end("")
	})
}

type clientDeleteCommand struct {
	ID   string `arg:"" help:"The client_id."`
	JSON bool   `help:"Print JSON."`
}

// Run deletes a service client.
func (c *clientDeleteCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		if err := s.OAuth.DeleteClient(p.ctx, nil, c.ID); err != nil {
			return p.clientFault(s, c.ID, err, nil)
		}
		if c.JSON {
			return json.NewEncoder(p.Stdout).Encode(map[string]any{"client_id": c.ID, "deleted": true})
		}
		_, err := fmt.Fprintf(p.Stdout, "Deleted the client %s; Sesame refuses its tokens from now on.\n", c.ID)
		return err
	})
}

// clientFault explains the error of a command on a client. People give its name for its id.
func (p *program) clientFault(s *app.Services, id string, err error, places map[string]string) error {
	if e, ok := errors.AsType[*problem.Error](err); !ok || e.Code != problem.NotFound {
		return explainAt(err, places)
	}
	if client, err := s.OAuth.ClientByName(p.ctx, id); err == nil {
		return fmt.Errorf("unknown client %q; this is the name of a client whose client_id is %s", id, client.ID)
	}
	return fmt.Errorf("unknown client %q; list their client_id with: sesame client list", id)
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
func clientObject(s *app.Services, c oauth.Client) map[string]any {
	return map[string]any{
		"client_id": c.ID, "name": c.Name, "scopes": listOf(c.Scopes), "password_grant": c.PasswordGrant, "created_at": c.CreatedAt,
		"public": c.Public, "third_party": c.ThirdParty, "require_pkce": !c.PKCEOptional, "device_grant": c.DeviceGrant, "access_token_ttl": int(c.AccessTTL.Seconds()), "session_ttl": int(c.SessionTTL.Seconds()), "backchannel_logout_uri": c.LogoutURI,
		"logo_uri": s.OAuth.LogoURI(c), "registration": c.Registration, "document_uri": c.DocumentURI,
		"redirect_uris": listOf(c.RedirectURIs), "post_logout_redirect_uris": listOf(c.SignOutURIs),
	}
}

// readLogo reads the file of a logo; "" is no logo.
func readLogo(name string) ([]byte, error) {
	if name == "" {
		return []byte{}, nil
	}
	return oauth.ReadLogo(name)
}

// listOf makes an empty list of none, for JSON.
func listOf(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}
