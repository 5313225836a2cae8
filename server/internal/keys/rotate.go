package keys

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// Start prepares a process that issues tokens. It records how long those live, and publishes a key of the algorithm in
// the settings where the newest key has another one.
func (k *Keys) Start(ctx context.Context, log *slog.Logger) error {
	k.log = log
	k.signs.Store(true)
	if err := k.reseal(ctx); err != nil {
		return err
	}
	for range 3 { // other replicas may do the same
		if done, err := k.adoptAlgorithm(ctx); done || err != nil {
			return err
		}
	}
	return errConcurrentRotation
}

// reseal seals the keys that the second master key has sealed with the master key. Every server does so at its start. So
// when the last one has started with the new master key, the second one is no longer needed for them.
func (k *Keys) reseal(ctx context.Context) error {
	rows, err := k.stored().All(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		sealed, changed := token.Reseal(k.master, row.ID, row.PrivateKey)
		if !changed {
			continue
		}
		err = k.stored().ReplaceSealed(ctx, row.ID, row.PrivateKey, sealed)
		if store.IgnoreNotFound(err) != nil {
			return err
		}
		k.log.Info("signing key sealed with the new master key", "kid", row.ID)
	}
	return nil
}

// Run takes the steps that are due until ctx ends. It checks every second, so that it notices a clock that was set
// forward, or a machine that woke up.
func (k *Keys) Run(ctx context.Context) {
	ticker := time.NewTicker(k.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := k.Maintain(ctx); err != nil && ctx.Err() == nil {
				k.log.Error("maintaining the signing keys failed", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// adoptAlgorithm makes the newest key one of the algorithm in the settings, unless another replica changes the keys.
func (k *Keys) adoptAlgorithm(ctx context.Context) (done bool, err error) {
	last, err := k.read(ctx, 0)
	if err != nil {
		return false, err
	}
	signing, next := last.rows[0], published(last.rows)
	if next == nil && signing.Alg == k.Alg || next != nil && next.Alg == k.Alg {
		return true, nil
	}
	row, err := k.generate(store.KeyPublished)
	if err != nil {
		return false, err
	}
	return k.change(ctx, func(q *store.Queries) error {
		if err := k.Table(q).Lock(ctx, signing.ID); err != nil {
			return err
		}
		if next != nil { // it has signed no token yet
			if err := k.Table(q).Remove(ctx, next.ID, store.KeyPublished); err != nil {
				return err
			}
		}
		if signing.Alg == k.Alg {
			return nil
		}
		return k.Table(q).Add(ctx, row)
	})
}

// Maintain reads the keys when it is time, and takes the next step of those that are due. It is cheap to call every
// second, on any number of replicas: one of them takes the step.
func (k *Keys) Maintain(ctx context.Context) error {
	now := k.Now()
	if age(k.last.Load().at, now) < readEvery && age(k.maintained, now) < readEvery || age(k.maintained, now) < refreshEvery {
		return nil
	}
	k.maintained = now
	last, err := k.read(ctx, 0)
	if err == nil {
		err = k.step(ctx, last.rows, now)
		k.log.Debug("read the signing keys: it is time")
	}
	return err
}

func (k *Keys) step(ctx context.Context, rows []store.SigningKey, now time.Time) (err error) {
	do := func(id, what string, f func(*store.Queries) error) {
		if err == nil {
			var changed bool
			if changed, err = k.change(ctx, f); changed {
				k.log.Info("signing key "+what, "kid", id)
			}
		}
	}
	for _, row := range rows {
		if row.State == store.KeyRetired && !now.Before(row.RemovedAt) {
			do(row.ID, "removed", func(q *store.Queries) error { return k.Table(q).Remove(ctx, row.ID, store.KeyRetired) })
		}
	}
	signing := rows[0]
	switch next := published(rows); {
	case next != nil && !now.Before(next.SignsFrom):
		do(next.ID, "signs", func(q *store.Queries) error {
			return k.activate(ctx, q, signing.ID, next.ID, now, audit.Schedule)
		})
	case next == nil && k.Rotation > 0 && !now.Before(signing.SignsFrom.Add(k.Rotation-publishFor)):
		row, err := k.generate(store.KeyPublished)
		if err != nil {
			return err
		}
		do(row.ID, "published", func(q *store.Queries) error { return k.publish(ctx, q, signing.ID, row) })
	}
	return err
}

// publish adds a key that will replace the signing key.
func (k *Keys) publish(ctx context.Context, q *store.Queries, signing string, row store.SigningKey) error {
	if err := k.Table(q).Lock(ctx, signing); err != nil {
		return err
	}
	return k.Table(q).Add(ctx, row)
}

// activate retires the signing key and makes the published one sign.
func (k *Keys) activate(ctx context.Context, q *store.Queries, old, next string, now time.Time, by string) error {
	if err := k.Table(q).Retire(ctx, old, now, retireFor); err != nil {
		return err
	}
	if err := k.Table(q).StartSigning(ctx, next, now); err != nil {
		return err
	}
	return audit.Record(ctx, q, audit.KeyRotated, store.Event{Actor: by}, now)
}

// change makes a change in one transaction, then reads the keys again. It reports whether it made the change:
// store.ErrNotFound inside the transaction means that another replica changed the keys first.
func (k *Keys) change(ctx context.Context, f func(*store.Queries) error) (bool, error) {
	err := k.db.Tx(ctx, f)
	if store.IgnoreNotFound(err) != nil {
		return false, err
	}
	_, readErr := k.read(ctx, 0)
	return err == nil, readErr
}

// mustChange is change for a command, which fails when another replica was first.
func (k *Keys) mustChange(ctx context.Context, f func(*store.Queries) error) error {
	changed, err := k.change(ctx, f)
	if err == nil && !changed {
		err = errConcurrentRotation
	}
	return err
}

// published returns the key that waits to sign, or nil.
func published(rows []store.SigningKey) *store.SigningKey {
	for i := range rows {
		if rows[i].State == store.KeyPublished {
			return &rows[i]
		}
	}
	return nil
}

// List returns the keys as last read, the signing key first.
func (k *Keys) List() []store.SigningKey { return k.last.Load().rows }

// ErrTooMany is the error of Rotate while there are as many keys as the key set may have.
var ErrTooMany = errors.New("too many retired keys still verify tokens; wait until some are removed (sesame keys list shows when)")

var errConcurrentRotation = errors.New("another process rotated the keys at the same moment; see: sesame keys list")

// forRotation generates the next key, if there is room for one.
func (k *Keys) forRotation(last *reading) (row store.SigningKey, err error) {
	if len(last.rows) >= maxKeys {
		return row, ErrTooMany
	}
	return k.generate(store.KeyPublished)
}

// Rotate begins a rotation: it publishes a new key, which a running server makes sign after publishFor. It does nothing
// where a key is published already.
//
// by is who asks for it; nil means the command line. The event of the rotation itself follows when the key begins to sign.
func (k *Keys) Rotate(ctx context.Context, by *audit.Actor) error {
	last, err := k.read(ctx, 0)
	if err != nil || published(last.rows) != nil {
		return err
	}
	row, err := k.forRotation(last)
	if err != nil {
		return err
	}
	_, err = k.change(ctx, func(q *store.Queries) error {
		if err := k.publish(ctx, q, last.rows[0].ID, row); err != nil {
			return err
		}
		return audit.Record(ctx, q, audit.KeyPublished, audit.Event(ctx, store.User{}, by), k.Now())
	})
	return err
}

// RotateNow makes the published key sign at once, or else a new one. Replicas use it when they next read the keys.
// Verifiers that cache the key set may refuse its tokens until they fetch it again.
func (k *Keys) RotateNow(ctx context.Context) error {
	last, err := k.read(ctx, 0)
	if err != nil {
		return err
	}
	row, err := k.forRotation(last)
	if err != nil {
		return err
	}
	next, signing := published(last.rows), last.rows[0].ID
	return k.mustChange(ctx, func(q *store.Queries) error {
		if next != nil {
			return k.activate(ctx, q, signing, next.ID, k.Now(), audit.CommandLine)
		}
		if err := k.publish(ctx, q, signing, row); err != nil {
			return err
		}
		return k.activate(ctx, q, signing, row.ID, k.Now(), audit.CommandLine)
	})
}

// Revoke removes every key and makes a new one sign at once. A verifier refuses every token that was signed before, as
// soon as it has read the keys again.
func (k *Keys) Revoke(ctx context.Context) error {
	last, err := k.read(ctx, 0)
	if err != nil {
		return err
	}
	row, err := k.generate(store.KeySigning)
	if err != nil {
		return err
	}
	return k.mustChange(ctx, func(q *store.Queries) error {
		if err := k.Table(q).Lock(ctx, last.rows[0].ID); err != nil {
			return err
		}
		if err := k.Table(q).RemoveAll(ctx); err != nil {
			return err
		}
		if err := k.Table(q).Add(ctx, row); err != nil {
			return err
		}
		return audit.Record(ctx, q, audit.KeyRotated, store.Event{Actor: audit.CommandLine}, k.Now())
	})
}
