// Package keys stores the signing keys of a database and rotates them, so that every replica signs and verifies with the
// same keys and no valid token is refused while a key changes.
//
//	k, err := keys.Open(ctx, db, master, keys.Settings{Alg: token.ES256, Rotation: 90 * 24 * time.Hour, TokenTTL: 10 * time.Minute, Now: time.Now})
//	err = k.Start(ctx, log)  // before the process signs tokens
//	go k.Run(ctx)            // takes the steps that are due
//	issuer := token.NewIssuer(url, url, k, time.Now)
//
// A key is published, then signs, then is retired, then is removed. Rotate begins a rotation; Run takes the next step of
// every key when it is due. Each step is one transaction that first locks the key that signs (store.LockSigningKey), so
// of several replicas that try a step, one takes it and the others find it done (Keys.change).
//
// The periods follow from how fast a change reaches everybody:
//
// Every replica reads the keys at least every readEvery. So readEvery after a key was published, all of them serve it at
// /.well-known/jwks.json. A verifier that fetched the set just before may keep it for the five minutes of its
// Cache-Control. Two clocks may be maxSkew apart. 30 s + 5 min + 30 s is six minutes; publishFor is ten, so that reading
// may fail for four of them.
//
// A replica signs with keys that are at most maxAge old; otherwise it reads them first. So maxAge after a key was
// retired the last token is signed with it, by a clock that may be maxSkew ahead of the one that retired it. That token
// verifies until its life and the leeway have passed, and the clock that removes the key may be maxSkew ahead of the
// clock of the verifier. The sum without the life of the token is retireFor.
package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/token/atjwt"
)

const (
	readEvery  = 30 * time.Second
	maxSkew    = 30 * time.Second
	publishFor = 10 * time.Minute
	maxAge     = time.Minute
	retireFor  = maxAge + 2*maxSkew + atjwt.Leeway
	// refreshEvery limits how often tokens with an unknown key make a replica read the keys at once, since anybody can
	// make such tokens.
	refreshEvery = 5 * time.Second
	// readTime bounds one reading, which may serve many requests.
	readTime = 10 * time.Second
	// maxKeys is within the limit of the contract for the key set.
	maxKeys = 16
)

// Settings are the operator's choices.
type Settings struct {
	// Table holds the keys; default: those of access tokens.
	Table    func(*store.Queries) store.KeyTable
	Alg      string                              // of new keys
	First    func(alg string) (token.Key, error) // makes the first key; default: token.GenerateKey
	Rotation time.Duration                       // how long a key signs; 0 means forever
	TokenTTL time.Duration                       // of the tokens that this process signs
	Now      func() time.Time
	Existing bool          // fail instead of making the first key
	Every    time.Duration // how often Run looks whether a key is due
}

// Keys are the signing keys of a database, as last read. It implements token.Keys.
type Keys struct {
	db     *store.DB
	master token.MasterKey
	Settings

	last       atomic.Pointer[reading]
	mu         sync.Mutex // held while reading
	refreshed  time.Time  // by Refresh
	refreshErr error
	maintained time.Time
	signs      atomic.Bool // this process issues tokens: Start was called
	log        *slog.Logger
}

// reading is the result of one read of the table.
type reading struct {
	ring *token.Keyring
	rows []store.SigningKey // the signing key first
	at   time.Time
}

// Open reads the signing keys of a database, and makes the first one where there is none. When several replicas do so at
// once, a unique index lets one of their keys become the signing key of all.
func Open(ctx context.Context, db *store.DB, master token.MasterKey, s Settings) (*Keys, error) {
	if s.Table == nil {
		s.Table = (*store.Queries).AccessTokenKeys
	}
	k := &Keys{db: db, master: master, Settings: s, log: slog.New(slog.DiscardHandler)}
	rows, err := k.stored().All(ctx)
	if err == nil && len(rows) == 0 && !s.Existing {
		err = k.addFirst(ctx)
	}
	if store.IgnoreNotFound(err) != nil {
		return nil, err
	}
	_, err = k.read(ctx, 0)
	return k, err
}

// addFirst makes the first key.
func (k *Keys) addFirst(ctx context.Context) error {
	first := k.First
	if first == nil {
		first = token.GenerateKey
	}
	key, err := first(k.Alg)
	if err != nil {
		return err
	}
	row, err := k.row(key, store.KeySigning)
	if err != nil {
		return err
	}
	return k.stored().Add(ctx, row)
}

// stored are the keys in the database, outside a transaction.
func (k *Keys) stored() store.KeyTable { return k.Table(&k.db.Queries) }

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

// Refresh implements token.Keys. It reads the keys at most once in refreshEvery; further calls get the result of the
// last reading.
func (k *Keys) Refresh() (*token.Keyring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refreshed.IsZero() || age(k.refreshed, k.Now()) >= refreshEvery {
		ctx, cancel := context.WithTimeout(context.Background(), readTime)
		defer cancel()
		_, k.refreshErr = k.readLocked(ctx)
		k.log.Debug("read the signing keys: a token names an unknown key")
		k.refreshed = k.Now() // after the reading: the calls that waited for a slow database do not each read again
	}
	return k.Current(), k.refreshErr
}

// age is how long ago a time was. It takes the longer of the two clocks' answers, since a machine that slept may have
// stopped one of them. A time in the future is that of a clock that has been set back since, and counts as long ago.
func age(then, now time.Time) time.Duration {
	if d := max(now.Sub(then), now.Round(0).Sub(then.Round(0))); d >= 0 {
		return d
	}
	return math.MaxInt64
}

// read returns a reading that is younger than a limit; with 0, a new one.
func (k *Keys) read(ctx context.Context, limit time.Duration) (*reading, error) {
	recent := func() *reading {
		if last := k.last.Load(); last != nil && age(last.at, k.Now()) < limit {
			return last
		}
		return nil
	}
	if last := recent(); last != nil {
		return last, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := recent(); last != nil { // another goroutine has just read them
		return last, nil
	}
	return k.readLocked(ctx)
}

func (k *Keys) readLocked(ctx context.Context) (*reading, error) {
	for range 3 {
		now := k.Now()
		rows, err := k.stored().All(ctx)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 || rows[0].State != store.KeySigning {
			return nil, errors.New("the database has no signing key; sesame serve makes one")
		}
		if k.signs.Load() && rows[0].TokenTTL < k.TokenTTL {
			err = k.stored().RaiseTokenTTL(ctx, rows[0].ID, k.TokenTTL)
			if errors.Is(err, store.ErrNotFound) {
				continue // retired at this moment, for the shorter life
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

func (k *Keys) generate(state string) (store.SigningKey, error) {
	key, err := token.GenerateKey(k.Alg)
	if err != nil {
		return store.SigningKey{}, err
	}
	return k.row(key, state)
}

// row returns what is stored of a new key.
func (k *Keys) row(key token.Key, state string) (store.SigningKey, error) {
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
