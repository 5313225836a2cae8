package oauth

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// SignOutParameters are those of a request to sign out (OpenID Connect RP-Initiated Logout §2).
type SignOutParameters struct{ IDTokenHint, ClientID, RedirectURI, State, UILocales string }

// SignOut is an examined request to sign out.
type SignOut struct {
	Client    Client // the zero Client where none is named
	Address   string // where the person goes afterwards; "" for a page of this server
	Confirmed bool   // the hint is of the session of this browser, so nobody has to be asked
}

// SignOut examines a request to sign out. Errors: InvalidRequest for a page.
func (s *Service) SignOut(ctx context.Context, p SignOutParameters, browser *identity.Browser) (out SignOut, err error) {
	id := p.ClientID
	if p.IDTokenHint != "" {
		hint, err := s.ids.ReadHint(p.IDTokenHint)
		if err != nil || p.ClientID != "" && hint.ClientID != p.ClientID {
			return out, problem.New(problem.InvalidRequest, "The application sent an ID token that is not one of this server, or not its own.")
		}
		id = hint.ClientID
		if out.Confirmed, err = s.isSessionOf(ctx, hint, browser); err != nil {
			return out, err
		}
	}
	if id != "" {
		out.Client, err = s.clientByID(ctx, id)
		if store.IgnoreNotFound(err) != nil {
			return out, err
		}
	}
	if p.RedirectURI == "" {
		return out, nil
	}
	if errors.Is(err, store.ErrNotFound) || !slices.Contains(out.Client.SignOutURIs, p.RedirectURI) {
		return out, problem.New(problem.InvalidRequest, "The application wants you to be sent to an address that it has not registered.")
	}
	out.Address = p.RedirectURI
	if p.State != "" {
		out.Address = withQuery(out.Address, url.Values{"state": {p.State}})
	}
	return out, nil
}

// isSessionOf reports whether the session of an ID token was started from a browser's. Some clients revoke their tokens before
// they sign out, so the session may have ended: then the token must be of the person and the moment of the browser's sign-in.
func (s *Service) isSessionOf(ctx context.Context, hint token.Hint, browser *identity.Browser) (bool, error) {
	if browser == nil || hint.SessionID == "" {
		return false, nil
	}
	session, _, err := s.db.SessionByID(ctx, hint.SessionID)
	if errors.Is(err, store.ErrNotFound) {
		return hint.Subject == browser.User.ID && hint.AuthTime == browser.Session.SignedInAt.Unix(), nil
	}
	return err == nil && session.BrowserID == browser.Session.ID, err
}
