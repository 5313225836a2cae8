package auth

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sesame/server/internal/store"
)

// Start is for a process that issues tokens, before it does. It notes how long those live, and where the setting
// names another algorithm than the newest key's, it publishes a key of that one.
func (k *Keys) Start(ctx context.Context, log *slog.Logger) error {
	k.log = log
	k.signs.Store(true)
	for range 3 { // others may be at it
		if done, err := k.adopt(ctx); done || err != nil {
			return err
		}
	}
	return errOutrun
}

// adopt makes the newest key one of the algorithm that is set, unless another replica was quicker.
func (k *Keys) adopt(ctx context.Context) (done bool, err error) {
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
	return k.win(ctx, func(q *store.Queries) error {
		if err := q.HoldSigningKey(ctx, signing.ID); err != nil {
			return err
		}
		if next != nil { // nobody has a token of it yet
			if err := q.RemoveSigningKey(ctx, next.ID, store.KeyPublished); err != nil {
				return err
			}
		}
		if signing.Alg == k.Alg {
			return nil
		}
		return q.AddSigningKey(ctx, row)
	})
}

// Tend reads the keys when it is time, and takes the next step in the life of those that are due
// for it. It is cheap to call every second. Any number of replicas may: one of them takes the step.
func (k *Keys) Tend(ctx context.Context) error {
	now := k.Now()
	if age(k.last.Load().at, now) < readEvery && age(k.tended, now) < readEvery || age(k.tended, now) < askEvery {
		return nil
	}
	k.tended = now
	last, err := k.read(ctx, 0)
	if err == nil {
		err = k.step(ctx, last.rows, now)
		k.log.Debug("signing keys read: it is time")
	}
	return err
}

func (k *Keys) step(ctx context.Context, rows []store.SigningKey, now time.Time) (err error) {
	do := func(id, what string, f func(*store.Queries) error) {
		if err == nil {
			var won bool
			if won, err = k.win(ctx, f); won {
				k.log.Info("signing key "+what, "kid", id)
			}
		}
	}
	for _, row := range rows {
		if row.State == store.KeyRetired && !now.Before(row.RemovedAt) {
			do(row.ID, "removed", func(q *store.Queries) error { return q.RemoveSigningKey(ctx, row.ID, store.KeyRetired) })
		}
	}
	signing := rows[0]
	switch next := published(rows); {
	case next != nil && !now.Before(next.SignsFrom):
		do(next.ID, "signs", func(q *store.Queries) error {
			return succeed(ctx, q, signing.ID, next.ID, now, bySchedule)
		})
	case next == nil && k.Rotation > 0 && !now.Before(signing.SignsFrom.Add(k.Rotation-publishFor)):
		row, err := k.generate(store.KeyPublished)
		if err != nil {
			return err
		}
		do(row.ID, "published", func(q *store.Queries) error { return follow(ctx, q, signing.ID, row) })
	}
	return err
}

// follow publishes a key that will succeed the one that signs.
func follow(ctx context.Context, q *store.Queries, signing string, row store.SigningKey) error {
	if err := q.HoldSigningKey(ctx, signing); err != nil {
		return err
	}
	return q.AddSigningKey(ctx, row)
}

// succeed lets the published key sign instead of the old one.
func succeed(ctx context.Context, q *store.Queries, old, next string, now time.Time, by string) error {
	if err := q.RetireSigningKey(ctx, old, now, retireFor); err != nil {
		return err
	}
	if err := q.StartSigning(ctx, next, now); err != nil {
		return err
	}
	return recordEvent(ctx, q, EventKeyRotated, store.Event{Actor: by}, now)
}

// win makes a change in one transaction, and reports whether it was made here: store.ErrNotFound says
// that the keys are no longer what they were, for another replica was quicker. Either way the keys
// are read again.
func (k *Keys) win(ctx context.Context, f func(*store.Queries) error) (bool, error) {
	err := k.db.Tx(ctx, f)
	if unlessNotFound(err) != nil {
		return false, err
	}
	_, readErr := k.read(ctx, 0)
	return err == nil, readErr
}

// published gives the key that waits to sign, or nil.
func published(rows []store.SigningKey) *store.SigningKey {
	for i := range rows {
		if rows[i].State == store.KeyPublished {
			return &rows[i]
		}
	}
	return nil
}

// List gives the keys as last read, the one that signs first.
func (k *Keys) List() []store.SigningKey { return k.last.Load().rows }

// Rotate begins a rotation: a new key is published, and signs from publishFor on, when a server
// tends the keys. It does nothing where a key is published already.
func (k *Keys) Rotate(ctx context.Context) error {
	last, err := k.read(ctx, 0)
	if err != nil || published(last.rows) != nil {
		return err
	}
	if len(last.rows) >= maxKeys {
		return errTooManyKeys
	}
	row, err := k.generate(store.KeyPublished)
	if err != nil {
		return err
	}
	_, err = k.win(ctx, func(q *store.Queries) error { return follow(ctx, q, last.rows[0].ID, row) })
	return err
}

var (
	errTooManyKeys = errors.New("too many retired keys still verify; wait until some are removed (keys list says when)")
	errOutrun      = errors.New("the keys were rotated by somebody else at this moment; see: keys list")
)

// RotateNow lets the published key, or else a new one, sign at once. Replicas take it up when they
// next read the keys. Verifiers that keep the key set may refuse its tokens until they fetch it again.
func (k *Keys) RotateNow(ctx context.Context) error {
	last, err := k.read(ctx, 0)
	if err != nil {
		return err
	}
	if len(last.rows) >= maxKeys {
		return errTooManyKeys
	}
	row, err := k.generate(store.KeyPublished)
	if err != nil {
		return err
	}
	next, signing := published(last.rows), last.rows[0].ID
	won, err := k.win(ctx, func(q *store.Queries) error {
		if next != nil {
			return succeed(ctx, q, signing, next.ID, k.Now(), byCommandLine)
		}
		if err := follow(ctx, q, signing, row); err != nil {
			return err
		}
		return succeed(ctx, q, signing, row.ID, k.Now(), byCommandLine)
	})
	return outrun(won, err)
}

// Revoke removes every key, and lets a new one sign at once: each token that was signed so far is
// refused as soon as a verifier has read the keys again.
func (k *Keys) Revoke(ctx context.Context) error {
	last, err := k.read(ctx, 0)
	if err != nil {
		return err
	}
	row, err := k.generate(store.KeySigning)
	if err != nil {
		return err
	}
	won, err := k.win(ctx, func(q *store.Queries) error {
		if err := q.HoldSigningKey(ctx, last.rows[0].ID); err != nil {
			return err
		}
		if err := q.RemoveSigningKeys(ctx); err != nil {
			return err
		}
		if err := q.AddSigningKey(ctx, row); err != nil {
			return err
		}
		return recordEvent(ctx, q, EventKeyRotated, store.Event{Actor: byCommandLine}, k.Now())
	})
	return outrun(won, err)
}

func outrun(won bool, err error) error {
	if err == nil && !won {
		return errOutrun
	}
	return err
}

// RetiresAt is when a key that signs, or will, is due to stop; zero where that is not planned.
func (k *Keys) RetiresAt(row store.SigningKey) time.Time {
	if next := published(k.List()); next != nil && row.State == store.KeySigning {
		return next.SignsFrom
	}
	if k.Rotation == 0 {
		return time.Time{}
	}
	return row.SignsFrom.Add(k.Rotation)
}
