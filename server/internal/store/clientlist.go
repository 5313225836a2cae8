package store

import (
	"context"
	"time"

	"sesame/server/internal/names"
)

// lastText follows a prefix in a text that is greater than every text which begins with the prefix.
const lastText = "\U0010FFFF"

// maxClientKey limits the keys by which clients are listed, in characters: compatibility forms can make a name much longer, and
// a cursor has the key in it.
const maxClientKey = 64

// clientKey returns what a client is found and sorted by: its name without differences of width and letter case.
func clientKey(name string) string {
	key := []rune(names.Fold(name))
	return string(key[:min(len(key), maxClientKey)])
}

// ClientList selects clients, sorted by name in any letter case.
type ClientList struct {
	Prefix string // of the name, in any letter case; "" for all
	After  ClientPosition
	Limit  int
}

// ClientPosition is the position after a client of a ClientList; the zero value is the beginning of the list.
type ClientPosition struct{ Key, ID string }

// ListClients lists the clients after a position. Every page is a range of one index, so each costs the same.
func (q *Queries) ListClients(ctx context.Context, l ClientList) ([]Client, error) {
	from, prefix := l.After, clientKey(l.Prefix)
	if from.ID == "" {
		from.Key = prefix
	}
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+clientColumns+`, c.name_key FROM clients c WHERE (c.name_key, c.id) > ($1, $2) AND c.name_key < $3
		ORDER BY c.name_key, c.id LIMIT $4`, from.Key, from.ID, prefix+lastText, l.Limit)
	return collect(rows, err, func(c *Client) []any { return append(c.fields(), &c.NameKey) })
}

// ClientByName finds a client. Errors: ErrNotFound.
func (q *Queries) ClientByName(ctx context.Context, name string) (c Client, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM clients c WHERE c.name = $1`, name)
	return c, translate(row.Scan(c.fields()...))
}

// FillClientKeys computes the keys of up to limit clients that a program of an older version has made, and returns how many.
func (q *Queries) FillClientKeys(ctx context.Context, _ time.Time, limit int) (filled int64, err error) {
	return fillSomeClientKeys(ctx, q.read, q.write, limit)
}

func fillSomeClientKeys(ctx context.Context, read, write executor, limit int) (filled int64, err error) {
	type row struct{ id, name string }
	rows, err := read.QueryContext(ctx, `SELECT id, name FROM clients WHERE name_key = '' LIMIT $1`, limit)
	missing, err := collect(rows, err, func(r *row) []any { return []any{&r.id, &r.name} })
	for _, r := range missing {
		if _, err = write.ExecContext(ctx, `UPDATE clients SET name_key = $3 WHERE id = $1 AND name = $2`, r.id, r.name, clientKey(r.name)); err != nil {
			return filled, translate(err)
		}
		filled++
	}
	return filled, err
}
