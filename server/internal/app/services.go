package app

import (
	"fmt"
	"slices"
	"strings"

	"sesame/server/internal/account"
	"sesame/server/internal/audit"
	"sesame/server/internal/config"
	"sesame/server/internal/contract"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/oauth"
	"sesame/server/internal/passkey"
	"sesame/server/internal/token"
	"sesame/server/internal/upstream"
	"sesame/server/internal/web"
	"sesame/server/internal/webhook"
)

// Services are the domain.
type Services struct {
	Identity *identity.Service
	Accounts *account.Service
	OAuth    *oauth.Service
	Upstream *upstream.Service
	Audit    *audit.Log
	Mails    *mailer.Queue // only after Create
	Webhooks *webhook.Service
}

// MakeServices makes the domain, for the scopes of the contract. Call it once.
func (a *App) MakeServices(rules *contract.Contract) *Services {
	issuer, cursors := token.NewIssuer(a.PublicURL, a.Audience, a.Keys, a.Now, a.Audiences.Items()...), token.NewCursors(a.master)
	id := identity.New(a.DB, a.hasher, issuer, identity.Settings{
		Scopes: identity.Scopes(rules.Scopes()), AdminScope: adminScope(rules),
		RefreshIdle: a.RefreshIdleTTL.Duration, RefreshTTL: a.RefreshTTL.Duration, NewLoginMails: a.NewLoginMails == "on",
		ConfirmedOnly: a.SignInUnconfirmed == "off",
		Policy: identity.Policy{
			Require: a.RequireSecondFactor, Grace: a.SecondFactorGrace.Duration, AdminScopes: rules.Scopes().Administrative, Page: a.PublicURL + "/sign-in",
		},
		Passkeys:  passkey.New(a.PublicURL, a.ServiceName(rules.Title), a.CorsOrigins.Items()),
		KeyedHash: token.NewKeyedHash(a.master), Steps: token.NewSealer(a.master, "sign-ins"), Factors: a.factorSealer(), Outbox: a.outbox, Now: a.Now, Log: a.Log,
		Count: a.Metrics.counts(), Cursors: cursors,
	})
	a.services = &Services{
		Identity: id,
		Accounts: account.New(a.DB, a.hasher, id, account.Settings{
			RegistrationClosed: a.Registration == "closed", RegistrationLimit: a.RegistrationLimit.Value,
			ConfirmURL: a.VerifyURL, ResetURL: a.ResetURL, MagicLinkURL: a.magicLinkURL(), Cursors: cursors, Name: a.ServiceName(rules.Title),
		}),
		OAuth: oauth.New(a.DB, issuer, token.NewIDIssuer(a.PublicURL, a.IDKeys), a.master, id, oauth.Settings{
			AccessTTL: a.AccessTokenTTL.Duration, RefreshGrace: a.RefreshGrace.Duration, DocsRedirect: a.docsRedirect(), AdminPage: a.adminPage(),
			Unverified: a.unverifiedClients(rules),
			Issued:     func(grant string) { a.Metrics.tokens.Add(1, grant) },
			Cursors:    cursors,
		}),
		Upstream: upstream.New(a.DB, a.master, id, upstream.Settings{PublicURL: a.PublicURL, Private: a.PrivateProviders == "on", Cursors: cursors, Log: a.Log}),
		Audit:    audit.NewLog(a.DB, cursors, a.Now),
		Mails:    &mailer.Queue{Dispatcher: a.mails, Cursors: cursors, KeyedHash: token.NewKeyedHash(a.master)},
		Webhooks: webhook.New(a.DB, a.master, cursors, webhook.Settings{
			Private: a.PrivateWebhooks == "on", Now: a.Now, Log: a.Log, Every: a.every(),
			Attempted: func(outcome string) { a.Metrics.deliveries.Add(1, outcome) },
		}),
	}
	return a.services
}

// unverifiedClients are the settings of clients that no operator has made.
func (a *App) unverifiedClients(rules *contract.Contract) oauth.Unverified {
	u := oauth.Unverified{
		Registration: a.DynamicRegistration == "open", Scopes: a.UnverifiedClientScopes.Items(), ServiceName: a.ServiceName(rules.Title),
		Documents: oauth.Documents{Private: a.PrivateClientDocuments == "on", Roots: a.Tests.DocumentRoots, Log: a.Log},
	}
	u.Documents.Hosts, u.Documents.Any = a.DocumentHosts()
	return u
}

// CheckScopes returns an error for a scope in the settings that the contract does not declare, or that only administrators have.
func (a *App) CheckScopes(rules *contract.Contract) error {
	scopes := rules.Scopes()
	for _, scope := range a.UnverifiedClientScopes.Items() {
		name := config.Variable("unverified-client-scopes")
		switch {
		case !slices.Contains(scopes.Declared, scope):
			return fmt.Errorf("%s has %q, which is not a scope; the contract declares %s", name, scope, strings.Join(scopes.Declared, ", "))
		case slices.Contains(scopes.Administrative, scope):
			return fmt.Errorf("%s has %q, which makes an administrator; applications that nobody has verified must not have it", name, scope)
		}
	}
	return nil
}

// magicLinkURL is the page that mailed links open to sign a person in, or "".
func (a *App) magicLinkURL() string {
	if a.MagicLinks != "on" {
		return ""
	}
	return a.PublicURL + web.MagicLinkPath
}

// docsRedirect is where Swagger UI gets the code of a person who signs in with a browser (package docs), or "".
func (a *App) docsRedirect() string {
	if a.Docs != "on" {
		return ""
	}
	return a.PublicURL + "/docs/oauth2-redirect.html"
}

// adminPage is the address of the administrator's page (package admin), or "".
func (a *App) adminPage() string {
	if a.Admin != "on" {
		return ""
	}
	return a.PublicURL + "/admin/"
}

// FirstRun is who may make the first administrator; nil without the administrator's page.
func (a *App) FirstRun() *web.FirstRun {
	if a.Admin != "on" {
		return nil
	}
	_, socket := a.Socket()
	return &web.FirstRun{Sealer: token.NewSealer(a.master, "first run"), Local: a.Loopback() && !socket, Now: a.Now}
}

// adminScope is the scope that changing an account needs.
func adminScope(rules *contract.Contract) string { return rules.Operation("updateUser").Scopes()[0] }

// factorSealer seals the secrets of second factors.
func (a *App) factorSealer() token.Sealer { return token.NewSealer(a.master, "second factors") }
