package store

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
)

// userPart is a part of a list: a range of an index.
type userPart struct {
	byEmail, byCreation, descending bool
	column                          string
	from, to                        any    // the first value, and the first one beyond the range
	index                           string // the condition of a partial index, which is written out so that the planner sees it
	filtered                        bool   // whether some users of the range may not match
}

// last is greater than every character, so a prefix and this are greater than every text that begins with the prefix.
const last = "\U0010FFFF"

// parts are the parts of a list, in their order.
func (l UserList) parts() []userPart {
	first := userPart{descending: l.Descending, column: "username_key", from: l.Prefix, to: l.Prefix + last}
	first.index, first.filtered = l.index()
	if l.ByCreation {
		first.byCreation, first.column = true, "created_at"
		first.from, first.to = l.created()
		return []userPart{first}
	}
	first.filtered = first.filtered || !l.CreatedFrom.IsZero() || !l.CreatedBefore.IsZero()
	if l.Prefix == "" {
		return []userPart{first}
	}
	second := userPart{
		byEmail: true, descending: l.Descending, column: "email_key", from: l.EmailPrefix, to: l.EmailPrefix + last,
		index: ` AND email_key IS NOT NULL`, filtered: true, // by the usernames of the first part
	}
	if l.Disabled != nil && *l.Disabled {
		second.index += ` AND disabled`
	}
	return []userPart{first, second}
}

// index chooses the partial index of the filter that is expected to match the fewest users, and reports whether other filters are left.
func (l UserList) index() (condition string, filtered bool) {
	filtered = l.Scope != "" || l.EmailVerified != nil
	isTrue := func(b *bool) bool { return b != nil && *b }
	switch {
	case l.Scope != "":
		return ` AND scopes <> ''`, true
	case isTrue(l.Disabled):
		return ` AND disabled`, filtered || l.SecondFactor != nil
	case isTrue(l.SecondFactor):
		return ` AND factors <> ''`, filtered || l.Disabled != nil
	}
	return ``, filtered || l.Disabled != nil || l.SecondFactor != nil
}

// created returns the range of the times of creation, as stored.
func (l UserList) created() (from, before int64) {
	from, before = 0, math.MaxInt64
	if !l.CreatedFrom.IsZero() {
		from = micros(l.CreatedFrom)
	}
	if !l.CreatedBefore.IsZero() {
		before = micros(l.CreatedBefore)
	}
	return from, before
}

// binder collects the values of a statement.
type binder struct{ values []any }

// bind adds a value, and returns its placeholder.
func (b *binder) bind(value any) string {
	b.values = append(b.values, value)
	return "$" + strconv.Itoa(len(b.values))
}

// byUsername reports whether the part is in the order of the usernames. These are unique, and their index has no id, so that the
// conditions must do without it: reading the id of 2,000 users would mean reading 2,000 rows.
func (p userPart) byUsername() bool { return !p.byEmail && !p.byCreation }

// after is the condition for the users of a part after a position.
func (p userPart) after(b *binder, position UserPosition) string {
	from, to := p.from, p.to
	if position.ID != "" && p.descending {
		to = p.key(position)
	} else if position.ID != "" {
		from = p.key(position)
	}
	switch {
	case p.byUsername() && !p.descending && position.ID != "":
		return `username_key > ` + b.bind(from) + ` AND username_key < ` + b.bind(to) + p.index
	case p.byUsername():
		return `username_key >= ` + b.bind(from) + ` AND username_key < ` + b.bind(to) + p.index
	case p.descending:
		return `(` + p.column + `, id) < (` + b.bind(to) + `, ` + b.bind(position.ID) + `) AND ` + p.column + ` >= ` + b.bind(from) + p.index
	}
	return `(` + p.column + `, id) > (` + b.bind(from) + `, ` + b.bind(position.ID) + `) AND ` + p.column + ` < ` + b.bind(to) + p.index
}

// until is the condition for the users up to a position.
func (p userPart) until(b *binder, position UserPosition) string {
	compare := ` <= `
	if p.descending {
		compare = ` >= `
	}
	if p.byUsername() {
		return ` AND username_key` + compare + b.bind(position.Key)
	}
	return ` AND (` + p.column + `, id)` + compare + `(` + b.bind(p.key(position)) + `, ` + b.bind(position.ID) + `)`
}

// order sorts a part.
func (p userPart) order() string {
	switch {
	case p.byUsername() && p.descending:
		return ` ORDER BY username_key DESC`
	case p.byUsername():
		return ` ORDER BY username_key`
	case p.descending:
		return ` ORDER BY ` + p.column + ` DESC, id DESC`
	}
	return ` ORDER BY ` + p.column + `, id`
}

// key is the value of the column at a position.
func (p userPart) key(position UserPosition) any {
	if p.byCreation {
		return position.Created
	}
	return position.Key
}

// positionOf is the position of a user in a part.
func (p userPart) positionOf(u User) UserPosition {
	switch {
	case p.byCreation:
		return UserPosition{Created: micros(u.CreatedAt), ID: u.ID}
	case p.byEmail:
		return UserPosition{ByEmail: true, Key: u.EmailKey, ID: u.ID}
	}
	return UserPosition{Key: u.UsernameKey, ID: "-"}
}

// filter is the condition for the users of a part that match. Its text is always the same, since both engines keep each statement that
// they have compiled. The CASE keeps the planners in the order of the part: no index fits it, and PostgreSQL expects an inequality to match
// nearly every row, so that it reads the index until the page is full. Otherwise it would expect few rows, and read and sort all of them.
func (p userPart) filter(b *binder, l UserList) string {
	isOneOf := func(truth string, wanted *bool) string {
		no, yes := 0, 1
		if wanted != nil && *wanted {
			no = 1
		} else if wanted != nil {
			yes = 0
		}
		return `CASE WHEN ` + truth + ` THEN 1 ELSE 0 END IN (CAST(` + b.bind(no) + ` AS INTEGER), CAST(` + b.bind(yes) + ` AS INTEGER))`
	}
	from, before := l.created()
	scope := b.bind(l.Scope)
	conditions := []string{
		isOneOf(`disabled`, l.Disabled), isOneOf(`email_verified`, l.EmailVerified), isOneOf(`factors <> ''`, l.SecondFactor),
		`created_at + 0 >= ` + b.bind(from), `created_at + 0 < ` + b.bind(before),
		// Not LIKE, which takes an underscore for any character, and on SQLite a capital for a small letter.
		`(` + scope + ` = '' OR REPLACE(' ' || scopes || ' ', ' ' || ` + scope + ` || ' ', '') <> ' ' || scopes || ' ')`,
	}
	if p.byEmail { // without the users of the first part
		conditions = append(conditions, `NOT (username_key >= `+b.bind(l.Prefix)+` AND username_key < `+b.bind(l.Prefix+last)+`)`)
	}
	return `CASE WHEN ` + strings.Join(conditions, ` AND `) + ` THEN 0 ELSE 1 END <> 1`
}

// endOfScan returns the position of the last user that a page looks at; nil if the part ends before.
func (q *Queries) endOfScan(ctx context.Context, p userPart, after UserPosition) (*UserPosition, error) {
	end := UserPosition{ByEmail: p.byEmail}
	key := any(&end.Key)
	if p.byCreation {
		key = &end.Created
	}
	query, values := p.scan(after)
	switch err := translate(q.read.QueryRowContext(ctx, query, values...).Scan(key, &end.ID)); {
	case errors.Is(err, ErrNotFound):
		return nil, nil //nolint:nilnil // there is none, and that is no error
	case err != nil:
		return nil, err
	}
	return &end, nil
}

// scan is the statement for that position. It reads the index alone.
func (p userPart) scan(after UserPosition) (query string, values []any) {
	var b binder
	id := `id`
	if p.byUsername() {
		id = `'-'`
	}
	return `
		SELECT ` + p.column + `, ` + id + ` FROM users WHERE ` + p.after(&b, after) + p.order() + ` LIMIT 1 OFFSET ` + b.bind(maxScanned-1), b.values
}
