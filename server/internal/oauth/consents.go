package oauth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// Consents returns a page of the clients that a person has agreed to, with the scopes of each, in the order of their ids, and the
// cursor of the next page, or "". Errors: BadRequest for a cursor of another list.
func (s *Service) Consents(ctx context.Context, userID, cursor string, limit int) (page []store.GrantedConsent, next string, err error) {
	list := "consents of user " + userID
	after, err := s.readCursor(list, cursor)
	if err != nil {
		return nil, "", err
	}
	page, err = s.db.ListConsents(ctx, userID, after, limit+1)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	return page[:limit], s.Cursors.Text(list, page[limit-1].ClientID), nil
}

// ClientConsents returns a page of the people who have agreed to a client, in the order of their ids, and the cursor of the next page, or
// "". Errors: NotFound; BadRequest for a cursor of another list.
func (s *Service) ClientConsents(ctx context.Context, clientID, cursor string, limit int) (page []store.GrantedConsent, next string, err error) {
	if _, err = s.ClientByID(ctx, clientID); err != nil {
		return nil, "", err
	}
	list := "consents of client " + clientID
	after, err := s.readCursor(list, cursor)
	if err != nil {
		return nil, "", err
	}
	page, err = s.db.ListConsentsOfClient(ctx, clientID, after, limit+1)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	return page[:limit], s.Cursors.Text(list, page[limit-1].UserID), nil
}

// readCursor returns the id in a cursor of a list; "" for the first page.
func (s *Service) readCursor(list, cursor string) (after string, err error) {
	if cursor == "" {
		return "", nil
	}
	if after, err = s.Cursors.Read(list, cursor); err != nil {
		return "", problem.InvalidCursor(err)
	}
	return after, nil
}

// Agree stores that a person has agreed. Scopes that were granted before stay granted.
func (s *Service) Agree(ctx context.Context, a Authorization, user store.User) error {
	if !a.Client.ThirdParty {
		return nil
	}
	if err := s.keepDocument(ctx, a.Client); err != nil {
		return err
	}
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		if _, err := q.LockUser(ctx, user.ID); err != nil { // the person may agree or withdraw in another window
			return err
		}
		if a.Client.Unverified() {
			if err := q.MarkClientAgreed(ctx, a.Client.ID, s.now()); err != nil {
				return err
			}
		}
		before, err := q.ConsentOf(ctx, user.ID, a.Client.ID)
		if store.IgnoreNotFound(err) != nil {
			return err
		}
		granted := strings.Fields(before.Scope)
		all := slices.Concat(granted, s.ConsentFor(a, user))
		if all = identity.Intersect(all, all); len(all) > len(granted) {
			event := audit.Event(ctx, user, &audit.Actor{ID: user.ID, ClientID: a.Client.ID})
			if err = audit.Record(ctx, q, audit.ConsentGranted, event, s.now()); err != nil {
				return err
			}
		}
		if err = q.SetConsent(ctx, user.ID, a.Client.ID, strings.Join(all, " "), s.now()); err != nil || !a.Client.Unverified() {
			return err
		}
		return q.SetConsentResources(ctx, user.ID, a.Client.ID, s.agreeFor(a, before, s.ConsentFor(a, user)))
	})
	return store.IgnoreNotFound(err) // an account that was deleted meanwhile gets no code
}

// agreedTo returns the scopes that a person has granted to a client: to one that nobody has verified, for the resource of the request alone,
// since the page that asked named it.
func (s *Service) agreedTo(a Authorization, granted store.Consent) []string {
	if !a.Client.Unverified() {
		return strings.Fields(granted.Scope)
	}
	for _, line := range lines(granted.Resources) {
		if fields := strings.Fields(line); fields[0] == s.ResourceOf(a) {
			return fields[1:]
		}
	}
	return nil
}

// agreeFor returns the resources of a consent with more scopes for that of the request.
func (s *Service) agreeFor(a Authorization, before store.Consent, scopes []string) string {
	resource := s.ResourceOf(a)
	all := slices.Concat(s.agreedTo(a, before), scopes)
	kept := slices.DeleteFunc(lines(before.Resources), func(line string) bool { return strings.Fields(line)[0] == resource })
	return strings.Join(append(kept, strings.Join(append([]string{resource}, identity.Intersect(all, all)...), " ")), "\n")
}

// ResourceOf returns the audience of the tokens that a request leads to.
func (s *Service) ResourceOf(a Authorization) string {
	_, own := s.issuer.Names()
	return cmp.Or(a.Resource, own)
}

// Withdraw takes back what the caller has agreed to, and ends their sessions with the client. Errors: NotFound.
func (s *Service) Withdraw(ctx context.Context, caller *identity.Caller, clientID string) error {
	return s.withdraw(ctx, caller, caller.User.ID, clientID, identity.Own)
}

// WithdrawOf is Withdraw for the owner of an account. Errors: NotFound; those of identity.MayAdminister.
func (s *Service) WithdrawOf(ctx context.Context, by *identity.Caller, userID, clientID string) error {
	return s.withdraw(ctx, by, userID, clientID, s.identity.Administering(by))
}

func (s *Service) withdraw(ctx context.Context, by *identity.Caller, userID, clientID string, may identity.Permission) error {
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, userID) // a session that starts now waits, and ends here, or it comes later and asks again
		if err != nil {
			return err
		}
		if err = may(user); err != nil {
			return err
		}
		if err := q.DeleteConsent(ctx, user.ID, clientID); err != nil {
			return err
		}
		if err := q.EndSessionsWith(ctx, user.ID, clientID); err != nil {
			return err
		}
		event := audit.Event(ctx, user, by.Actor())
		event.ClientID, event.SessionID = clientID, ""
		return audit.Record(ctx, q, audit.ConsentWithdrawn, event, s.now())
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "The account has not agreed to this application.")
	}
	return err
}

// ClientName returns the name of a client, or "" for one that was deleted.
func (s *Service) ClientName(ctx context.Context, id string) (string, error) {
	client, err := s.clientByID(ctx, id)
	return client.Title(), store.IgnoreNotFound(err)
}
