package account

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// createUnnamed creates an account with a username made from its address. That reveals whether a username is taken, as every
// registration does, and nothing about the address.
func (s *Service) createUnnamed(ctx context.Context, r Registration) (user store.User, err error) {
	base := usernameOf(r.Email)
	if r.Username, err = s.freeUsername(ctx, base); err != nil {
		return store.User{}, err
	}
	user, err = s.CreateUser(ctx, r)
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.UsernameTaken { // by a concurrent registration
		r.Username = withSuffix(base)
		user, err = s.CreateUser(ctx, r)
	}
	return user, err
}

// freeUsername returns a username that begins with base and is free at the moment.
func (s *Service) freeUsername(ctx context.Context, base string) (string, error) {
	taken, err := s.usernameTaken(ctx, base)
	if taken {
		base = withSuffix(base)
	}
	return base, err
}

// usernameTaken reports whether an account has a username, or had it until lately.
func (s *Service) usernameTaken(ctx context.Context, username string) (bool, error) {
	_, key, err := names.FoldUsername(username)
	if err != nil {
		return false, err
	}
	_, err = s.db.UserByUsername(ctx, key)
	if !errors.Is(err, store.ErrNotFound) {
		return err == nil, err
	}
	return s.db.UsernameReserved(ctx, key, s.now())
}

const (
	// maxMadeUsername leaves room for a suffix, in bytes.
	maxMadeUsername = 40
	// suffixLength makes 32^6 suffixes, so that two of one name hardly ever meet.
	suffixLength = 6
)

// unnamed is the username of an address that cannot make one.
const unnamed = "user"

// usernameOf makes a username of an e-mail address: the part before the @, without a tag (ann+shop), if it can be one.
func usernameOf(address string) string {
	at := strings.LastIndexByte(address, '@')
	local, _, _ := strings.Cut(address[:max(at, 0)], "+")
	shown, key, err := names.NewUsername(local)
	if err != nil || key == "" || len(key) > maxMadeUsername || names.Reserved(shown) || names.Reserved(key) {
		return unnamed
	}
	return key
}

func withSuffix(base string) string {
	return base + "-" + strings.ToLower(rand.Text()[:suffixLength])
}
