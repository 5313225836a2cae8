package cli

import (
	"slices"
	"strings"

	"sesame/server/internal/app"
	"sesame/server/internal/audit"
	"sesame/server/internal/store"
)

type userEventsCommand struct {
	userShowCommand
	Kind  string `placeholder:"KIND" help:"Only events of this kind, such as login_failed."`
	Limit int    `default:"50" help:"How many events at most; 0 for all."`
}

// eventPage is how many events are read at once.
const eventPage = 500

// Run lists the events of an account, the latest first.
func (c *userEventsCommand) Run(p *program) error {
	if c.Kind != "" && !slices.Contains(audit.Kinds, audit.Kind(c.Kind)) {
		kinds := make([]string, len(audit.Kinds))
		for i, kind := range audit.Kinds {
			kinds[i] = string(kind)
		}
		return usagef("unknown kind %q in --kind; the kinds are %s", c.Kind, strings.Join(kinds, ", "))
	}
	if c.Limit < 0 {
		return usagef("--limit is a number of events, or 0 for all\nexample: sesame user events %s --limit 20", lastWord(c.Account))
	}
	return p.withUser(c.Account, func(s *app.Services, user store.User) error {
		list := p.newListing(c.JSON, "AT", "KIND", "ACTOR", "CLIENT ID", "SESSION ID", "IP ADDRESS", "USER AGENT")
		query := audit.Query{UserID: user.ID, Limit: eventPage}
		if c.Kind != "" {
			query.Kinds = []string{c.Kind}
		}
		for c.Limit == 0 || list.count < c.Limit {
			if c.Limit > 0 {
				query.Limit = min(eventPage, c.Limit-list.count)
			}
			events, next, err := s.Audit.List(p.ctx, query)
			if err != nil {
				return err
			}
			for _, e := range events {
				if err = list.add(eventObject(e), moment(&e.At), e.Kind, e.Actor, e.ClientID, e.SessionID, e.IPAddress, e.UserAgent); err != nil {
					return err
				}
			}
			if query.Cursor = next; next == "" {
				break
			}
		}
		return list.end("")
	})
}

// eventObject is an event as JSON, with the field names of the contract.
func eventObject(e store.Event) map[string]any {
	return map[string]any{
		"id": e.ID, "at": e.At, "kind": e.Kind, "user_id": orNil(e.UserID), "username": orNil(e.Username), "actor": orNil(e.Actor),
		"client_id": orNil(e.ClientID), "session_id": orNil(e.SessionID), "token_id": orNil(e.TokenID), "ip_address": orNil(e.IPAddress), "user_agent": orNil(e.UserAgent),
	}
}

type userUnlockCommand struct{ userShowCommand }

// Run ends the waiting periods of an account.
func (c *userUnlockCommand) Run(p *program) error {
	return p.onUser(c.Account, c.JSON, func(s *app.Services, user store.User) (store.User, error) {
		return user, s.Identity.Unlock(p.ctx, nil, user.ID)
	})
}
