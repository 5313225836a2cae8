package app

import (
	"context"
	"errors"
	"io/fs"

	"sesame/server/internal/store"
)

// PendingMigrations lists the migrations that Create would run, and changes nothing.
func PendingMigrations(ctx context.Context, o Options) (pending []store.Migration, err error) {
	db, err := store.Open(ctx, o.DatabaseURL.Reveal())
	if errors.Is(err, fs.ErrNotExist) {
		return store.PendingMigrations(ctx, nil)
	}
	if err != nil {
		return nil, err
	}
	pending, err = store.PendingMigrations(ctx, db)
	return pending, errors.Join(err, db.Close())
}

// MigrateTo migrates the schema of a database that exists up or down to a version.
func MigrateTo(ctx context.Context, o Options, version int64) error {
	a := &App{Options: o}
	if err := a.checkDatabase(false); err != nil {
		return err
	}
	db, err := store.Open(ctx, o.DatabaseURL.Reveal())
	if err != nil {
		return err
	}
	return errors.Join(db.MigrateTo(ctx, version, o.Warn), db.Close())
}
