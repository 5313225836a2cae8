package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/token/atjwt"
)

// A key is published, signs, is retired, and is removed, and no valid token is refused anywhere
// meanwhile. The arithmetic:
//
// Every replica reads the keys each readEvery. So readEvery after a key was published, all of them
// serve it at /.well-known/jwks.json. Whoever fetched the set just before may keep it for the five
// minutes of its Cache-Control. Two clocks may be maxSkew apart. 30 s + 5 min + 30 s is six minutes;
// publishFor is ten, so that readings may fail for four of them.
//
// A replica signs with what it has read no longer than maxAge ago, else it reads first. So maxAge
// after a key was retired the last token is signed with it, by a clock that may be maxSkew ahead of the
// one that retired it. The token verifies until its life and the leeway are over, and the clock by which
// the key is removed may be maxSkew ahead of the verifier's. The sum without the life is retireFor.
const (
	readEvery  = 30 * time.Second
	maxSkew    = 30 * time.Second
	publishFor = 10 * time.Minute
	maxAge     = time.Minute
	retireFor  = maxAge + 2*maxSkew + atjwt.Leeway
	// askEvery is how often tokens that name an unknown key may make a replica read at once: anybody
	// can write such tokens.
	askEvery = 5 * time.Second
	// readTime is what one reading gets; it serves more than the request that asked for it.
	readTime = 10 * time.Second
	// maxKeys is within what the contract lets the key set hold.
	maxKeys = 16
)

// KeySettings are the operator's choices about keys.
type KeySettings struct {
	Alg      string        // of new keys
	Rotation time.Duration // how long a key signs; 0 is for ever
	TokenTTL time.Duration // of the tokens that this process signs
	Now      func() time.Time
	Existing bool // make no first key: an error where there is none
}

// Keys are the signing keys of a database, as last read. It implements token.Keys.
type Keys struct {
	db     *store.DB
	master token.MasterKey
	KeySettings

	last     atomic.Pointer[reading]
	mu       sync.Mutex // held while reading
	asked    time.Time  // by LookAgain
	askedErr error
	tended   time.Time
	signs    atomic.Bool // this process issues tokens: Start was called
	log      *slog.Logger
}

type reading struct {
	ring *token.Keyring
	rows []store.SigningKey // the one that signs first
	at   time.Time
}

// OpenKeys opens the signing keys of a database, and makes the first one where there is none. When
// several replicas do so at once, the database lets one key become the one that signs, for all of them.
func OpenKeys(ctx context.Context, db *store.DB, master token.MasterKey, s KeySettings) (*Keys, error) {
	k := &Keys{db: db, master: master, KeySettings: s, log: slog.New(slog.DiscardHandler)}
	rows, err := db.SigningKeys(ctx)
	if err == nil && len(rows) == 0 && !s.Existing {
		err = k.add(ctx, &db.Queries, store.KeySigning)
	}
	if unlessNotFound(err) != nil {
		return nil, err
	}
	_, err = k.read(ctx, 0)
	return k, err
}

// Current implements token.Keys.
func (k *Keys) Current() *token.Keyring { return k.last.Load().ring }

// ForSigning implements token.Keys.
func (k *Keys) ForSigning() (*token.Keyring, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	last, err := k.read(ctx, maxAge)
	if err != nil {
		return nil, err
	}
	return last.ring, nil
}

// LookAgain implements token.Keys. It reads once in askEvery, however many ask; the others get what
// the last one got.
func (k *Keys) LookAgain() (*token.Keyring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.asked.IsZero() || age(k.asked, k.Now()) >= askEvery {
		ctx, cancel := context.WithTimeout(context.Background(), readTime)
		defer cancel()
		_, k.askedErr = k.readLocked(ctx)
		k.log.Debug("signing keys read: a token names an unknown key")
		k.asked = k.Now() // those who waited for a slow database do not each ask it again
	}
	return k.Current(), k.askedErr
}

// age is how long ago something was. A machine that slept may have stopped one of its two clocks.
func age(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// read gives a reading that is not older than that; with 0, a new one.
func (k *Keys) read(ctx context.Context, notOlder time.Duration) (*reading, error) {
	recent := func() *reading {
		if last := k.last.Load(); last != nil && age(last.at, k.Now()) < notOlder {
			return last
		}
		return nil
	}
	if last := recent(); last != nil {
		return last, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := recent(); last != nil { // somebody else has just read
		return last, nil
	}
	return k.readLocked(ctx)
}

func (k *Keys) readLocked(ctx context.Context) (*reading, error) {
	for range 3 {
		now := k.Now()
		rows, err := k.db.SigningKeys(ctx)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 || rows[0].State != store.KeySigning {
			return nil, errors.New("the database has no key that signs")
		}
		if k.signs.Load() && rows[0].TokenTTL < k.TokenTTL {
			err = k.db.RaiseTokenTTL(ctx, rows[0].ID, k.TokenTTL)
			if errors.Is(err, store.ErrNotFound) {
				continue // retired at this very moment, without regard to our tokens
			} else if err != nil {
				return nil, err
			}
		}
		ring, err := k.unseal(rows)
		if err != nil {
			return nil, err
		}
		last := &reading{ring: ring, rows: rows, at: now}
		k.last.Store(last)
		return last, nil
	}
	return nil, errors.New("the signing keys change faster than they can be read")
}

func (k *Keys) unseal(rows []store.SigningKey) (*token.Keyring, error) {
	keys := make([]token.Key, len(rows))
	for i, row := range rows {
		if last := k.last.Load(); last != nil {
			var ok bool
			if keys[i], ok = last.ring.Key(row.ID); ok {
				continue // a key never changes
			}
		}
		var err error
		if keys[i], err = token.Unseal(k.master, row.ID, row.PrivateKey); err != nil {
			return nil, err
		}
	}
	return token.NewKeyring(keys[0], keys[1:]...), nil
}

// add makes a new key in that state; store.ErrNotFound if there is one already.
func (k *Keys) add(ctx context.Context, q *store.Queries, state string) error {
	row, err := k.generate(state)
	if err != nil {
		return err
	}
	return q.AddSigningKey(ctx, row)
}

func (k *Keys) generate(state string) (store.SigningKey, error) {
	key, err := token.GenerateKey(k.Alg)
	if err != nil {
		return store.SigningKey{}, err
	}
	sealed, err := key.Seal(k.master)
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("seal a signing key: %w", err)
	}
	now := k.Now()
	row := store.SigningKey{ID: key.ID, Alg: key.Alg, PrivateKey: sealed, State: state, CreatedAt: now, SignsFrom: now}
	if state == store.KeyPublished {
		row.SignsFrom = now.Add(publishFor)
	}
	return row, nil
}

// PublicKeys lists the keys that verify access tokens.
func (s *Service) PublicKeys() []token.JWK { return s.issuer.Keys().JWKS() }
