package store

import (
	"context"
	"time"
)

// UserList selects users, in the order of their usernames or of their creation. With a Prefix, which needs the order of usernames,
// the users follow whose address begins with EmailPrefix and whose username does not begin with Prefix, in the order of the addresses.
type UserList struct {
	Prefix        string // of the folded username; "" for all
	EmailPrefix   string // of the folded address; "" if Prefix is
	ByCreation    bool   // in place of the username
	Descending    bool
	Disabled      *bool
	EmailVerified *bool
	SecondFactor  *bool
	Scope         string    // granted; "" for any
	CreatedFrom   time.Time // zero for any
	CreatedBefore time.Time // zero for any
	After         UserPosition
	Limit         int
	WithHash      bool // read the password hashes too
}

// UserPosition is the position of a user in a UserList, after which a page begins. The zero value is the beginning of the list.
type UserPosition struct {
	ByEmail bool   // in the part that is sorted by address
	Key     string // the user's folded username, or address
	Created int64  // or when it was created, in microseconds
	ID      string // of the user, "-" in the order of the usernames; "" in the beginning of the part
}

// UserPage is a page of a UserList.
type UserPage struct {
	Users []User
	More  bool         // whether the list may go on
	Next  UserPosition // after which it does
}

const (
	// maxScanned limits how many users, or events, a page looks at, and so what it costs, if few match the filters. The next page
	// continues there.
	maxScanned = 2000
	// maxCounted limits how many users CountUsers looks at.
	maxCounted = 10_000
)

// ListUsers lists the users after a position. Each part of the list is a range of one index, so every page costs the same, however
// many users there are. It returns fewer users than the limit, perhaps none, where the list may go on and the others that it has looked
// at do not match.
func (q *Queries) ListUsers(ctx context.Context, l UserList) (page UserPage, err error) {
	parts := l.parts()
	if l.After.ByEmail {
		parts = parts[1:]
	}
	for i, part := range parts {
		after := UserPosition{ByEmail: part.byEmail}
		if l.After.ByEmail == part.byEmail {
			after = l.After
		}
		users, next, more, err := q.listPart(ctx, l, part, after, l.Limit-len(page.Users))
		if err != nil {
			return UserPage{}, err
		}
		page.Users = append(page.Users, users...)
		if more {
			page.More, page.Next = true, next
			return page, nil
		}
		if len(page.Users) == l.Limit && i+1 < len(parts) {
			page.More, page.Next = true, UserPosition{ByEmail: true}
			break
		}
	}
	return page, nil
}

// CountUsers counts the users of a list, from its beginning. exact is false if it has not looked at all: it looks at maxCounted users, and
// at maxScanned in the order of another column if some may not match. Without a prefix it counts in the order of the creation, in which
// the rows lie side by side: 10,000 rows from all over the table would take SQLite ten times as long.
func (q *Queries) CountUsers(ctx context.Context, l UserList) (n int, exact bool, err error) {
	l.ByCreation = l.ByCreation || l.Prefix == ""
	exact = true
	for _, part := range l.parts() {
		var b binder
		columns, matches, limit := `1`, `TRUE`, maxCounted
		if part.filtered && !part.byCreation {
			limit = maxScanned
		}
		if part.filtered {
			columns, matches = `username_key, email_verified, scopes, disabled, factors, created_at`, part.filter(&b, l)
		}
		var looked, found int
		row := q.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN `+matches+` THEN 1 ELSE 0 END), 0)
			FROM (SELECT `+columns+` FROM users WHERE `+part.after(&b, UserPosition{})+part.order()+` LIMIT `+b.bind(limit+1)+`) AS looked`, b.values...)
		if err = row.Scan(&looked, &found); err != nil {
			return 0, false, translate(err)
		}
		n += min(found, limit)
		exact = exact && looked <= limit
	}
	return n, exact, nil
}

// listPart lists users of a part after a position, and reports whether the part goes on, and after which position.
func (q *Queries) listPart(ctx context.Context, l UserList, part userPart, after UserPosition, limit int) (users []User, next UserPosition, more bool, err error) {
	var end *UserPosition
	if part.filtered {
		if end, err = q.endOfScan(ctx, part, after); err != nil {
			return nil, next, false, err
		}
	}
	query, values := l.pageOf(part, after, end, limit+1)
	rows, err := q.read.QueryContext(ctx, query, values...)
	users, err = collect(rows, err, func(u *User) []any {
		return append([]any{&u.UsernameKey, &u.EmailKey, secretScanner{&u.PasswordHash}}, u.fields()...)
	})
	switch {
	case err != nil:
		return nil, next, false, err
	case len(users) > limit:
		users = users[:limit]
		return users, part.positionOf(users[limit-1]), true, nil
	case end != nil:
		return users, *end, true, nil
	}
	return users, next, false, nil
}

// pageOf is the statement for the users of a part after a position, and up to another one unless that is nil.
func (l UserList) pageOf(part userPart, after UserPosition, end *UserPosition, limit int) (query string, values []any) {
	var b binder
	where := part.after(&b, after)
	if end != nil {
		where += part.until(&b, *end)
	}
	if part.filtered {
		where += ` AND ` + part.filter(&b, l)
	}
	hash := `''`
	if l.WithHash {
		hash = `COALESCE(password_hash, '')`
	}
	return `
		SELECT username_key, COALESCE(email_key, ''), ` + hash + `, ` + userColumns + ` FROM users WHERE ` + where + part.order() + ` LIMIT ` + b.bind(limit), b.values
}
