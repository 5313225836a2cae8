package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/network"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// touchEvery limits how often the use of a browser's session is recorded, so that most requests write nothing.
const touchEvery = time.Minute

// Browser is the session of a browser: a person who has signed in on a page of this server.
type Browser struct {
	Session store.Session
	User    store.User
}

// Caller is the person as the caller of the domain, with the scopes that every person has: an administrator is one only with an
// access token.
func (s *Service) Caller(b *Browser) *Caller {
	return &Caller{
		User: b.User, ClientID: store.BrowserClient, SessionID: b.Session.ID, LoggedInAt: b.Session.SignedInAt, Methods: MethodsOf(b.Session),
		Scopes: slices.DeleteFunc(s.Scopes.OfEveryone(), func(scope string) bool { return scope == s.AdminScope }),
	}
}

// SignIn verifies a password and starts the session of a browser. The cookie is what the browser keeps. The throttle, the
// events and the mails are those of a login. Errors: those of Login.
func (s *Service) SignIn(ctx context.Context, username string, plain secret.Text) (Browser, secret.Text, error) {
	session, refresh, err := s.Login(ctx, Login{Username: username, Password: plain, Wanted: Wanted{ClientID: store.BrowserClient}})
	return s.browserOf(ctx, session, refresh, err)
}

// browserOf returns the browser of a new session.
func (s *Service) browserOf(ctx context.Context, session store.Session, refresh token.Refresh, err error) (Browser, secret.Text, error) {
	if err != nil {
		return Browser{}, secret.Text{}, err
	}
	user, err := s.db.UserByID(ctx, session.UserID)
	return Browser{session, user}, cookieOf(refresh), err
}

// cookieOf is the text of a browser's cookie: the session and its random bits. It is not a refresh token: it has no MAC.
func cookieOf(r token.Refresh) secret.Text {
	return secret.New(base64.RawURLEncoding.EncodeToString(slices.Concat(r.SessionID[:], r.Seed())))
}

// Browser returns the session of a cookie, or nil if there is none that is valid, or if the person must sign in again to set up a
// second factor.
func (s *Service) Browser(ctx context.Context, cookie secret.Text) (*Browser, error) {
	raw, invalid := base64.RawURLEncoding.Strict().DecodeString(cookie.Reveal())
	if invalid != nil || len(raw) != 16+32 {
		return nil, nil //nolint:nilerr // a cookie of something else
	}
	id, _ := uuid.FromBytes(raw[:16])
	session, user, err := s.db.BrowserSession(ctx, id.String(), token.RefreshOf(id, raw[16:]).SeedHash(), s.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.lacksFactor(user, MethodsOf(session)) { // the grace has ended since the person signed in
		return nil, nil
	}
	if now := s.Now(); now.Sub(session.LastUsedAt) > touchEvery {
		if err = s.db.TouchSession(ctx, session.ID, now, s.RefreshIdle); store.IgnoreNotFound(err) != nil {
			return nil, err
		}
	}
	return &Browser{session, user}, nil
}

// RenewCookie returns another cookie for the session of a browser, in place of the one that it had (OWASP ASVS 7.2.4). It is for a
// session that has gained a second factor, which a thief of the cookie must not gain with it. Errors: store.ErrNotFound if the
// session has ended, or another request has renewed it.
func (s *Service) RenewCookie(ctx context.Context, b *Browser) (secret.Text, error) {
	id, err := uuid.Parse(b.Session.ID)
	if err != nil {
		return secret.Text{}, fmt.Errorf("the id of a session: %w", err)
	}
	next := token.NewRefresh(id)
	return cookieOf(next), s.db.ReplaceSeedHash(ctx, b.Session.ID, b.Session.SeedHash, next.SeedHash())
}

// Replace ends the session of a browser whose person has signed in again. The sessions that were started from it belong to the
// new one.
func (s *Service) Replace(ctx context.Context, before, after *Browser) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		if _, err := q.LockUser(ctx, before.User.ID); err != nil { // a code may be being exchanged
			return err
		}
		return q.ReplaceBrowserSession(ctx, before.Session.ID, after.Session.ID)
	})
}

// SignOut ends the session of a browser, and those that were started from it.
func (s *Service) SignOut(ctx context.Context, b *Browser) error {
	return store.IgnoreNotFound(s.db.Tx(ctx, func(q *store.Queries) error {
		if _, err := q.LockUser(ctx, b.User.ID); err != nil { // a code may be being exchanged: its session ends, too
			return err
		}
		if err := q.EndSessionOf(ctx, b.User.ID, b.Session.ID); err != nil {
			return err
		}
		by := &audit.Actor{ID: b.User.ID, ClientID: store.BrowserClient, SessionID: b.Session.ID}
		return audit.Record(ctx, q, audit.Logout, audit.Event(ctx, b.User, by), s.Now())
	}))
}

// Start is a session that a client starts with an authorization code, or with a device code.
type Start struct {
	UserID     string
	BrowserID  string // the session of the browser
	ClientID   string
	CodeID     string // each starts one session
	DeviceHash string // of a device code, in place of CodeID: the session does not end with that of the browser
	Scopes     []string
	Resource   string // the audience of the session's tokens; "" for that of the server
	SignedInAt time.Time
	CodeEndsAt time.Time
	TTL        time.Duration // that the client wants; 0 for that of the server
	Claims     string        // that the client has asked for one by one
	Consent    []string      // the client may have a session only if the person still agrees to these scopes; nil for no consent
}

// ErrCodeUsed is the error for a code that has started a session before. The session of an authorization code has ended then,
// since two parties have the code.
var ErrCodeUsed = errors.New("the code was used before")

// maxSessionsOfBrowser limits the sessions that a client has from one sign-in: a page that gets tokens each time it is opened
// would otherwise end the person's other sessions (maxSessions).
const maxSessionsOfBrowser = 10

// StartSession starts a session for a client, with those of the scopes that the user still has. Errors: store.ErrNotFound when
// the session of the browser has ended, or the person no longer agrees; ErrCodeUsed.
func (s *Service) StartSession(ctx context.Context, start Start) (session store.Session, user store.User, refresh token.Refresh, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return session, user, refresh, fmt.Errorf("make a session id: %w", err)
	}
	refresh = token.NewRefresh(id)
	now := s.Now()
	from, _ := network.RequestOf(ctx)
	session = store.Session{
		ID: id.String(), UserID: start.UserID, ClientID: start.ClientID, BrowserID: start.BrowserID, SeedHash: refresh.SeedHash(),
		Resource: start.Resource, Claims: start.Claims,
		IPAddress: from.IPAddress, UserAgent: from.UserAgent, CreatedAt: now, LastUsedAt: now, SignedInAt: start.SignedInAt,
		ExpiresAt: now.Add(min(s.RefreshIdle, s.sessionTTL(start.TTL))), EndsAt: now.Add(s.sessionTTL(start.TTL)),
	}
	if start.DeviceHash != "" {
		session.BrowserID = ""
	}
	used := ""
	err = s.db.Tx(ctx, func(q *store.Queries) (err error) {
		if start.DeviceHash == "" {
			if used, err = q.UseAuthorizationCode(ctx, start.CodeID, session.ID, start.CodeEndsAt); err != nil {
				return err
			}
		}
		if used != "" {
			return s.endMisused(ctx, q, used)
		}
		if user, session.Methods, err = q.LockUserOfSession(ctx, start.UserID, start.BrowserID, now); err != nil {
			return err
		}
		if start.DeviceHash != "" {
			if err = useDevice(ctx, q, start, now); err != nil {
				return err
			}
		}
		if len(start.Consent) > 0 {
			if err = stillAgrees(ctx, q, start); err != nil {
				return err
			}
		}
		session.Scope = strings.Join(Intersect(start.Scopes, s.ScopesOf(user, MethodsOf(session))), " ")
		if err = q.CreateSession(ctx, session); err != nil {
			return err
		}
		if err = q.TrimSessionsOfBrowser(ctx, start.BrowserID, start.ClientID, maxSessionsOfBrowser); err != nil {
			return err
		}
		if err = q.TrimSessions(ctx, user.ID, maxSessions); err != nil {
			return err
		}
		by := &audit.Actor{ID: user.ID, ClientID: session.ClientID, SessionID: session.ID}
		return audit.Record(ctx, q, audit.Login, audit.Event(ctx, user, by), now)
	})
	if err == nil && used != "" {
		err = ErrCodeUsed
	}
	return session, user, refresh, err
}

// stillAgrees checks that the person has withdrawn nothing since the code was issued. Errors: store.ErrNotFound.
func stillAgrees(ctx context.Context, q *store.Queries, start Start) error {
	granted, err := q.ConsentOf(ctx, start.UserID, start.ClientID)
	if err == nil && len(Intersect(start.Consent, strings.Fields(granted.Scope))) < len(start.Consent) {
		err = store.ErrNotFound
	}
	return err
}

// useDevice uses the request of a device. Errors: ErrCodeUsed.
func useDevice(ctx context.Context, q *store.Queries, start Start, now time.Time) error {
	err := q.UseDeviceRequest(ctx, start.DeviceHash, start.UserID, now)
	if errors.Is(err, store.ErrNotFound) {
		return ErrCodeUsed
	}
	return err
}

// endMisused ends the session that a code has started, after a second use of the code (RFC 6749 §4.1.2).
func (s *Service) endMisused(ctx context.Context, q *store.Queries, id string) error {
	session, user, err := q.SessionByID(ctx, id)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	if err = q.EndSession(ctx, id); err != nil {
		return err
	}
	e := store.Event{UserID: user.ID, Username: user.Username, ClientID: session.ClientID, SessionID: id}
	return audit.Record(ctx, q, audit.CodeReused, e, s.Now())
}
