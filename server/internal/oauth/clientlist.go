package oauth

import (
	"context"
	"errors"
	"strings"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// ClientQuery selects a page of clients.
type ClientQuery struct {
	Prefix string // of the name, in any letter case; "" for all
	Cursor string // "" for the first page
	Limit  int
}

// Clients returns a page of the clients, sorted by name in any letter case, and the cursor of the next page, or "". Errors: BadRequest
// for a cursor of another list.
func (s *Service) Clients(ctx context.Context, query ClientQuery) (page []Client, next string, err error) {
	list := "clients " + query.Prefix
	l := store.ClientList{Prefix: query.Prefix, Limit: query.Limit + 1}
	if query.Cursor != "" {
		text, err := s.Cursors.Read(list, query.Cursor)
		if err != nil {
			return nil, "", problem.InvalidCursor(err)
		}
		l.After.ID, l.After.Key, _ = strings.Cut(text, " ")
	}
	rows, err := s.db.ListClients(ctx, l)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > query.Limit {
		rows = rows[:query.Limit]
		last := rows[query.Limit-1]
		next = s.Cursors.Text(list, last.ID+" "+last.NameKey)
	}
	for _, row := range rows {
		page = append(page, s.clientOf(row))
	}
	return page, next, nil
}

// EachClient calls f with every client, sorted by name in any letter case, until f fails.
func (s *Service) EachClient(ctx context.Context, f func(Client) error) error {
	for query := (ClientQuery{Limit: eachClientPage}); ; {
		page, next, err := s.Clients(ctx, query)
		if err != nil {
			return err
		}
		for _, client := range page {
			if err = f(client); err != nil {
				return err
			}
		}
		if query.Cursor = next; next == "" {
			return nil
		}
	}
}

// eachClientPage is how many clients EachClient reads at a time.
const eachClientPage = 500

// ClientByName finds a client by its name. Errors: NotFound.
func (s *Service) ClientByName(ctx context.Context, name string) (Client, error) {
	row, err := s.db.ClientByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		err = errNoClient()
	}
	return s.clientOf(row), err
}
