// Package cleanup deletes expired rows: sessions, codes, throttles, known networks, claims of addresses, events, revoked
// tokens, reserved usernames, the uses of authorization codes, requests of devices, deliveries to webhooks, and clients that have registered
// themselves and that nobody uses.
//
//	job := &cleanup.Job{DB: db, Accounts: accounts, EventRetention: 90 * 24 * time.Hour, Now: time.Now, Log: log}
//	go job.Run(ctx)
//
// Any number of replicas may run it at once; on PostgreSQL they share the work.
package cleanup

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sesame/server/internal/account"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/store"
	"sesame/server/internal/webhook"
)

const (
	period    = 10 * time.Minute
	batchSize = 500 // rows that one commit deletes
	// revokedSlack is how long the id of a revoked token is kept after the token has expired. If a clock that is ahead deleted it, the
	// token would be valid again when the clock is right.
	revokedSlack = 24 * time.Hour
)

// Job deletes expired rows.
type Job struct {
	DB             *store.DB
	Accounts       *account.Service
	EventRetention time.Duration // how long an event is kept
	Now            func() time.Time
	Log            *slog.Logger // for Run
	// Deleted counts the rows that a batch deletes from one of Tables, and Ended the runs, for metrics. They may be nil.
	Deleted func(table string, rows int64)
	Ended   func(err error)
}

// Tables are the values of Job.Deleted. From users it deletes no row, but an address that nobody has confirmed in time;
// factors counts the accounts whose reset is due, and clients those that programs of an older version have made without the key by
// which they are listed; unused_clients counts those that were examined.
var Tables = []string{
	"sessions", "one_time_codes", "throttles", "known_addresses", "users", "events", "revoked_tokens", "reserved_usernames", "used_codes",
	"device_requests", "factors", "clients", "personal_tokens", "webhook_deliveries", "unused_clients",
}

// Run cleans up every ten minutes until ctx ends.
func (j *Job) Run(ctx context.Context) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if _, err := j.Cleanup(ctx); err != nil && ctx.Err() == nil {
				j.Log.Error("cleanup failed", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// batch deletes up to limit rows that have expired at a time, and returns how many.
type batch func(ctx context.Context, now time.Time, limit int) (deleted int64, err error)

// Cleanup deletes all expired rows in small batches, and returns how many. A table that fails does not keep the others
// from being cleaned.
//
// After each batch it waits as long as the batch took. SQLite has one writer at a time; so at least half of the time is
// left for requests, however many rows there are and however slow the disk is.
func (j *Job) Cleanup(ctx context.Context) (deleted int64, err error) {
	before := func(age time.Duration, deleteBefore batch) batch {
		return func(ctx context.Context, now time.Time, limit int) (int64, error) {
			return deleteBefore(ctx, now.Add(-age), limit)
		}
	}
	for i, b := range []batch{ // in the order of Tables
		j.DB.DeleteExpiredSessions, j.DB.DeleteExpiredCodes, j.DB.DeleteExpiredThrottles,
		before(identity.KnownAddressTTL, j.DB.DeleteKnownAddressesBefore), j.Accounts.ExpireClaims,
		before(j.EventRetention, j.DB.DeleteEventsBefore), before(revokedSlack, j.DB.DeleteExpiredRevokedTokens), j.DB.DeleteExpiredReservations,
		before(revokedSlack, j.DB.DeleteExpiredCodeUses),
		before(oauth.DeviceMemory, j.DB.DeleteDeviceRequestsBefore),
		j.Accounts.CompleteFactorResets,
		j.DB.FillClientKeys,
		j.DB.DeleteExpiredPersonalTokens,
		before(webhook.Retention, j.DB.DeleteDeliveriesBefore),
		j.DB.DeleteUnusedClients,
	} {
		n, failed := j.repeat(ctx, b)
		if j.Deleted != nil {
			j.Deleted(Tables[i], n)
		}
		deleted += n
		err = errors.Join(err, failed)
	}
	if j.Ended != nil {
		j.Ended(err)
	}
	return deleted, err
}

// repeat runs batches until one is not full, or ctx ends.
func (j *Job) repeat(ctx context.Context, b batch) (deleted int64, err error) {
	for {
		if err = ctx.Err(); err != nil { // the queries on SQLite ignore it
			return deleted, err
		}
		begun := time.Now()
		n, err := b(ctx, j.Now(), batchSize)
		deleted += n
		if err != nil || n < batchSize {
			return deleted, err
		}
		select {
		case <-time.After(time.Since(begun)):
		case <-ctx.Done():
		}
	}
}
