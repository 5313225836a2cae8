package cli

import (
	"fmt"
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/oauth"
)

type clientUpdateCommand struct {
	ID             string         `arg:"" help:"The client_id."`
	Name           *string        `help:"Another name."`
	Scope          []string       `help:"The scopes, in place of those it has; may be repeated."`
	PasswordGrant  *bool          `negatable:"" help:"Whether people can log in through the client with the password grant."`
	ThirdParty     *bool          `negatable:"" help:"Whether people are asked if they agree."`
	OptionalPKCE   *bool          `name:"optional-pkce" negatable:"" help:"Whether the client can sign people in without PKCE."`
	RedirectURI    []string       `name:"redirect-uri" help:"The redirect addresses, in place of those it has; may be repeated."`
	SignOutURI     []string       `name:"post-logout-redirect-uri" help:"The addresses after signing out, in place of those it has; may be repeated."`
	Device         *bool          `negatable:"" help:"Whether people can sign in through the client on devices without a browser."`
	LogoutURI      *string        `name:"backchannel-logout-uri" help:"Where the server sends a logout token when a session ends; empty for nowhere."`
	AccessTokenTTL *time.Duration `name:"token-ttl" help:"How long its access tokens live; 0s for the server's."`
	SessionTTL     *time.Duration `name:"session-ttl" help:"How long its sessions last; 0s for the server's."`
	Logo           *string        `placeholder:"FILE" help:"Another logo: a PNG, JPEG or WebP image of at most 32 KiB; empty for none."`
	JSON           bool           `help:"Print the client as JSON."`
}

// Run changes a client.
func (c *clientUpdateCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		if err := p.checkScopes("--scope", c.Scope, s.Identity.Scopes.Declared); err != nil {
			return err
		}
		var logo []byte
		if c.Logo != nil {
			var err error
			if logo, err = readLogo(*c.Logo); err != nil {
				return err
			}
		}
		client, err := s.OAuth.UpdateClient(p.ctx, nil, c.ID, oauth.ClientChange{
			Name: c.Name, Scopes: c.Scope, PasswordGrant: c.PasswordGrant, ThirdParty: c.ThirdParty, PKCEOptional: c.OptionalPKCE,
			RedirectURIs: c.RedirectURI, SignOutURIs: c.SignOutURI, DeviceGrant: c.Device, LogoutURI: c.LogoutURI,
			AccessTTL: c.AccessTokenTTL, SessionTTL: c.SessionTTL, Logo: logo,
		})
		if err != nil {
			return p.clientFault(s, c.ID, err, clientPlaces("--name", c.RedirectURI, c.SignOutURI))
		}
		return p.printOne(c.JSON, clientObject(s, client), clientLines(s, client)...)
	})
}

type clientSecretCommand struct {
	ID         string        `arg:"" help:"The client_id."`
	KeepOldFor time.Duration `default:"0s" help:"How long the old one stays valid; at most 720h."`
	JSON       bool          `help:"Print the client as JSON."`
}

// Run replaces the secret of a client and prints the new one, which is not stored.
func (c *clientSecretCommand) Run(p *program) error {
	if c.KeepOldFor < 0 || c.KeepOldFor > oauth.MaxKeepSecret {
		return usagef("--keep-old-for is from 0s to %s\nexample: sesame client secret ID --keep-old-for 1h", oauth.MaxKeepSecret)
	}
	return p.withService(func(s *app.Services) error {
		client, made, err := s.OAuth.ReplaceSecret(p.ctx, nil, c.ID, c.KeepOldFor)
		if err != nil {
			return p.clientFault(s, c.ID, err, nil)
		}
		shown := clientObject(s, client)
		shown["client_secret"] = made.Reveal()
		if err = p.printOne(c.JSON, shown, [2]string{"client_id", client.ID}, [2]string{"client_secret", made.Reveal()}); err != nil || c.JSON {
			return err
		}
		_, err = fmt.Fprintln(p.Stdout, copyNow)
		return err
	})
}
