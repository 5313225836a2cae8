package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// SignInAs starts the session of a browser for a person who has proved in another way than by a password who they are. What follows is what
// follows a correct password: a disabled account is refused, and an unconfirmed one where only confirmed ones log in; the owner is
// mailed about an unknown network; the session is one of the limited number. Wrong passwords that others have tried do not count.
//
// proof is called in the transaction that starts the session, after the account is locked; what the person has proved must still be
// true then. Errors: InvalidGrant, and those of proof.
func (s *Service) SignInAs(ctx context.Context, user store.User, methods []string, proof func(*store.Queries) error) (Browser, secret.Text, error) {
	browser, cookie, err := s.signInAs(ctx, user, methods, proof)
	s.Count.Login(outcomeOf(err))
	return browser, cookie, err
}

func (s *Service) signInAs(ctx context.Context, user store.User, _ []string, proof func(*store.Queries) error) (b Browser, cookie secret.Text, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return b, cookie, fmt.Errorf("make a session id: %w", err)
	}
	refresh, now := token.NewRefresh(id), s.Now()
	from, _ := network.RequestOf(ctx)
	b.Session = store.Session{
		ID: id.String(), UserID: user.ID, ClientID: store.BrowserClient,
		SeedHash: refresh.SeedHash(), IPAddress: from.IPAddress, UserAgent: from.UserAgent,
		CreatedAt: now, SignedInAt: now, LastUsedAt: now, ExpiresAt: now.Add(min(s.RefreshIdle, s.RefreshTTL)), EndsAt: now.Add(s.RefreshTTL),
	}
	a := &attempt{clientID: store.BrowserClient, user: user, knownAddress: s.knownAddress(network.FromContext(ctx))}
	if a.state, err = s.db.ReadThrottles(ctx, a.Counters, user.ID, a.knownAddress, now); err != nil {
		return b, cookie, err
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		if b.User, err = q.LockUser(ctx, user.ID); err != nil {
			return err
		}
		if b.User.Disabled {
			return problem.New(problem.InvalidGrant, "This account is disabled. Ask the operator of this server for help.")
		}
		if err := proof(q); err != nil {
			return err
		}
		if _, err := s.grant(Login{ClientID: store.BrowserClient}, b.User); err != nil {
			return err
		}
		return s.startBrowser(ctx, q, b, a, now)
	})
	if errors.Is(err, ErrUnconfirmed) {
		if mailed := s.askToConfirm(ctx, user.ID); mailed != nil {
			err = mailed
		}
	}
	return b, cookieOf(refresh), err
}

// startBrowser stores the session of a browser, and makes the network known.
func (s *Service) startBrowser(ctx context.Context, q *store.Queries, b Browser, a *attempt, now time.Time) error {
	if err := q.CreateSession(ctx, b.Session); err != nil {
		return err
	}
	if err := q.TrimSessions(ctx, b.User.ID, maxSessions); err != nil {
		return err
	}
	if now.Sub(a.state.RecordedAt) > knownAddressStep {
		if err := s.notifyUnknownNetwork(ctx, q, b.User, isKnown(a.state, now)); err != nil {
			return err
		}
		if err := q.AddKnownAddress(ctx, b.User.ID, a.knownAddress.Key, now, maxKnownAddresses); err != nil {
			return err
		}
	}
	by := &audit.Actor{ID: b.User.ID, ClientID: b.Session.ClientID, SessionID: b.Session.ID}
	return audit.Record(ctx, q, audit.Login, audit.Event(ctx, b.User, by), now)
}

// FederatedMethods are how a person proved who they are, at a provider (amr). RFC 8176 has no value for it; it is the one that Keycloak and others use.
var FederatedMethods = []string{"fed"}
