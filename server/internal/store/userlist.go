package store

import (
	"context"
)

// UserList selects users, sorted by username. With a Prefix, the users follow whose address begins with EmailPrefix and
// whose username does not begin with Prefix, sorted by address.
type UserList struct {
	Prefix      string // of the folded username; "" for all
	EmailPrefix string // of the folded address; "" if Prefix is
	Disabled    *bool  // only disabled, or only enabled users
	After       UserPosition
	Limit       int
	WithHash    bool // read the password hashes too
}

// UserPosition is the position after a user of a UserList; the zero value is the beginning of the list.
type UserPosition struct {
	ByEmail bool   // in the part that is sorted by address
	Key     string // the user's folded username, or address
	ID      string
}

// ListUsers lists the users after a position. Each part of the list is a range of one index, so every page costs the same,
// however many users there are.
func (q *Queries) ListUsers(ctx context.Context, l UserList) (users []User, err error) {
	const last = "\U0010FFFF" // a prefix and this are greater than every text that begins with the prefix
	narrowed := ""
	if l.Disabled != nil {
		// In the text and not a parameter, because an index has this condition.
		narrowed = map[bool]string{true: " AND disabled", false: " AND NOT disabled"}[*l.Disabled]
	}
	if !l.After.ByEmail {
		from := UserPosition{Key: l.Prefix}
		if l.After.ID != "" {
			from = l.After
		}
		users, err = q.listUsers(ctx, l.WithHash, `(username_key, id) > ($1, $2) AND username_key < $3`+narrowed+`
			ORDER BY username_key LIMIT $4`, from.Key, from.ID, l.Prefix+last, l.Limit)
	}
	if err != nil || l.Prefix == "" || len(users) == l.Limit {
		return users, err
	}
	from := UserPosition{Key: l.EmailPrefix}
	if l.After.ByEmail {
		from = l.After
	}
	more, err := q.listUsers(ctx, l.WithHash, `email_key IS NOT NULL AND (email_key, id) > ($1, $2) AND email_key < $3
			AND NOT (username_key >= $4 AND username_key < $5)`+narrowed+`
		ORDER BY email_key, id LIMIT $6`, from.Key, from.ID, l.EmailPrefix+last, l.Prefix, l.Prefix+last, l.Limit-len(users))
	return append(users, more...), err
}

func (q *Queries) listUsers(ctx context.Context, withHash bool, where string, args ...any) ([]User, error) {
	hash := `''`
	if withHash {
		hash = `COALESCE(password_hash, '')`
	}
	rows, err := q.read.QueryContext(ctx, `
		SELECT username_key, COALESCE(email_key, ''), `+hash+`, `+userColumns+` FROM users WHERE `+where, args...)
	return collect(rows, err, func(u *User) []any {
		return append([]any{&u.UsernameKey, &u.EmailKey, secretScanner{&u.PasswordHash}}, u.fields()...)
	})
}
