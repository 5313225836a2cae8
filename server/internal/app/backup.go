package app

import (
	"context"
	"errors"

	"sesame/server/internal/config"
	"sesame/server/internal/store"
)

// Backup copies the SQLite database that the settings name to a new file. It needs no master key, and accepts the schema of
// any version. Errors: store.ErrNotSQLite.
func Backup(ctx context.Context, settings config.Settings, file string) (size int64, err error) {
	if _, ok := store.SQLitePath(settings.DatabaseURL.Reveal()); !ok {
		return 0, store.ErrNotSQLite
	}
	a := &App{Options: Options{Settings: settings}}
	if err = a.checkDatabase(false); err != nil {
		return 0, err
	}
	db, err := store.Open(ctx, settings.DatabaseURL.Reveal())
	if err != nil {
		return 0, err
	}
	size, err = db.Backup(ctx, file)
	return size, errors.Join(err, db.Close())
}
