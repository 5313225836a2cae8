package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sesame/server/internal/mailbox"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// The orders of a UserQuery. A hyphen reverses one.
const (
	ByUsername = "username"
	ByCreation = "created_at"
)

// UserQuery selects a page of accounts. An empty field does not narrow it.
type UserQuery struct {
	Prefix        string // of the username or the address, in any letter case
	Sort          string // ByUsername, which "" is too, or ByCreation; with a hyphen for the reverse
	Disabled      *bool
	EmailVerified *bool
	SecondFactor  *bool
	Scope         string // that the accounts have
	CreatedFrom   time.Time
	CreatedBefore time.Time
	Cursor        string // "" for the first page
	Limit         int
	Count         bool // also count the accounts of the whole list
}

// UserPage is a page of accounts. It can have fewer than the limit, even none, and a next page; see store.ListUsers.
type UserPage struct {
	Users []store.User
	Next  string // the cursor of the next page, or ""
	Total int    // of the list, if the query asks for it
	Exact bool   // whether the list has no more accounts than Total
}

// ListUsers returns a page of accounts. Errors: BadRequest for a cursor of another list, ValidationFailed.
func (s *Service) ListUsers(ctx context.Context, query UserQuery) (page UserPage, err error) {
	list, err := s.userList(query)
	if err != nil {
		return page, err
	}
	name := query.name()
	if query.Cursor != "" {
		if list.After, err = s.readPosition(name, query.Cursor); err != nil {
			return page, err
		}
	}
	found, err := s.db.ListUsers(ctx, list)
	if err != nil {
		return page, err
	}
	page.Users = found.Users
	if found.More {
		at := found.Next
		page.Next = s.Cursors.Text(name, fmt.Sprintf("%t %d %s %s", at.ByEmail, at.Created, at.ID, at.Key))
	}
	if query.Count {
		page.Total, page.Exact, err = s.db.CountUsers(ctx, list)
	}
	return page, err
}

// userList translates a query for the store.
func (s *Service) userList(query UserQuery) (list store.UserList, err error) {
	by, descending := strings.CutPrefix(query.Sort, "-")
	if by == ByCreation && query.Prefix != "" {
		return list, problem.Invalid().At("/sort", "must be an order of usernames with q")
	}
	scopes := s.identity.Scopes
	if query.Scope != "" && !slices.Contains(scopes.Declared, query.Scope) {
		return list, problem.Invalid().At("/scope", "is not a scope that the contract declares")
	}
	if slices.Contains(scopes.OfEveryone(), query.Scope) {
		query.Scope = ""
	}
	return store.UserList{
		Prefix: names.UsernamePrefix(query.Prefix), EmailPrefix: mailbox.Prefix(query.Prefix), ByCreation: by == ByCreation, Descending: descending,
		Disabled: query.Disabled, EmailVerified: query.EmailVerified, SecondFactor: query.SecondFactor, Scope: query.Scope,
		CreatedFrom: query.CreatedFrom, CreatedBefore: query.CreatedBefore, Limit: query.Limit,
	}, nil
}

// name identifies the list to its cursors.
func (q UserQuery) name() string {
	truth := func(b *bool) string {
		if b == nil {
			return ""
		}
		return strconv.FormatBool(*b)
	}
	created := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return strconv.FormatInt(t.UnixMicro(), 10)
	}
	sort := q.Sort
	if sort == "" {
		sort = ByUsername
	}
	return strings.Join([]string{
		"users", sort, truth(q.Disabled), truth(q.EmailVerified), truth(q.SecondFactor), q.Scope, created(q.CreatedFrom), created(q.CreatedBefore), q.Prefix,
	}, " ")
}

func (s *Service) readPosition(list, cursor string) (position store.UserPosition, err error) {
	text, err := s.Cursors.Read(list, cursor)
	if err != nil {
		return position, problem.InvalidCursor(err)
	}
	parts := strings.SplitN(text, " ", 4)
	if len(parts) != 4 {
		return position, errors.New("an authentic cursor does not have four parts")
	}
	byEmail, boolErr := strconv.ParseBool(parts[0])
	created, intErr := strconv.ParseInt(parts[1], 10, 64)
	return store.UserPosition{ByEmail: byEmail, Created: created, ID: parts[2], Key: parts[3]}, errors.Join(boolErr, intErr)
}
