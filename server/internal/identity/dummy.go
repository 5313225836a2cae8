package identity

import (
	"context"
	"encoding/base64"
	"encoding/hex"

	"sesame/server/internal/network"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// dummySample is how many accounts a dummy is chosen from. With one, an account would be chosen in proportion to the gap
// before it on the index, which is fair for thousands of accounts but not for a few.
const dummySample = 8

// verify compares a password with that of an account. A name without an account, and an account without a password, fail
// after the work that the password of some account takes: after an import there are hashes of many costs, and the time of
// one fixed dummy would reveal which names have an account.
//
// The dummy is the hash of another account. So no list of the schemes in use is needed, and a change by another process
// or replica takes effect at once. The result of the comparison is discarded. The dummy is looked up for every name, in the
// query that looks for the account, so that the lookup takes no time of its own.
func (s *Service) verify(ctx context.Context, user store.User, dummy, password secret.Text) (ok, outdated bool, err error) {
	if user.PasswordHash.Empty() {
		_, _, err = s.hasher.Verify(ctx, network.FromContext(ctx), dummy.Reveal(), password.Reveal())
		return false, false, err
	}
	return s.hasher.Verify(ctx, network.FromContext(ctx), user.PasswordHash.Reveal(), password.Reveal())
}

// userAndDummy finds the account of a name, or the zero User, and the dummy of the name. It chooses an account for the dummy
// by a keyed hash of the name, each with the same probability, and returns its password hash. A name keeps its account until a nearer one is created, so that repeated attempts reveal nothing more; when the owner
// logs in and the hash is replaced, the name appears to do the same. The result is empty when no account has a password.
func (s *Service) userAndDummy(ctx context.Context, name string) (user store.User, dummy secret.Text, err error) {
	key, err := base64.RawURLEncoding.DecodeString(s.KeyedHash.Key("dummy", name))
	if err != nil {
		return user, dummy, err
	}
	found := name
	if !isStorable(name) {
		found = "" // it belongs to no account
	}
	user, near, err := s.db.UserForLogin(ctx, found, isAddress(name), hex.EncodeToString(key[:6]), dummySample)
	if err != nil {
		return user, dummy, err
	}
	highest := "" // by rank, so that creating or deleting a neighbour changes the choice of few names
	for _, other := range near {
		if rank := s.KeyedHash.Key("dummy", name, other.ID); rank > highest {
			highest, dummy = rank, other.PasswordHash
		}
	}
	return user, dummy, nil
}
