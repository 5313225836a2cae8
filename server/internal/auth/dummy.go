package auth

import (
	"context"
	"encoding/base64"
	"encoding/hex"

	"sesame/server/internal/store"
	"sesame/server/secret"
)

// dummySample is how many accounts a dummy is chosen from. With one, an account would be chosen as often as there is
// room before it on the index, which is the right share on average and of thousands, but not of a few.
const dummySample = 8

// verify compares a password with that of an account. A name without an account, and an account without a password,
// fail after the work that the password of some account would take: after an import there are hashes of many costs, and
// one fixed dummy would tell by its time which names have an account.
//
// The dummy is the hash of another account, so that it needs no list of the schemes in use, and is right at once when
// another process or another replica has changed them. Whatever it is compared with, the result is thrown away. It is
// looked up for every name, so that this takes no time of its own.
func (s *Service) verify(ctx context.Context, name string, user store.User, password secret.Text) (ok, outdated bool, err error) {
	dummy, err := s.dummyFor(ctx, name)
	if err != nil {
		return false, false, err
	}
	if user.PasswordHash.Empty() {
		_, _, err = s.hasher.Verify(ctx, networkOf(ctx), dummy.Reveal(), password.Reveal())
		return false, false, err
	}
	return s.hasher.Verify(ctx, networkOf(ctx), user.PasswordHash.Reveal(), password.Reveal())
}

// dummyFor chooses an account by a keyed hash of a name, each as likely as any other, and gives its password hash. A
// name keeps its account as long as there is no nearer one, so that asking again tells no more; when the account's owner
// logs in and its hash is replaced, the name appears to do the same. It is empty when no account has a password.
func (s *Service) dummyFor(ctx context.Context, name string) (dummy secret.Text, err error) {
	key, err := base64.RawURLEncoding.DecodeString(s.Blind.Key("dummy", name))
	if err != nil {
		return dummy, err
	}
	near, err := s.db.HashesFrom(ctx, hex.EncodeToString(key[:6]), dummySample)
	if err != nil {
		return dummy, err
	}
	highest := "" // an account that is made or deleted beside the others changes the choice of few names
	for _, user := range near {
		if rank := s.Blind.Key("dummy", name, user.ID); rank > highest {
			highest, dummy = rank, user.PasswordHash
		}
	}
	return dummy, nil
}
