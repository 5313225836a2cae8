package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sesame/server/internal/config"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// openDatabase opens a database with the schema of this program.
func (a *App) openDatabase(ctx context.Context, creates bool) (db *store.DB, err error) {
	pool := store.Pool{Size: a.DatabaseConnections.Value, Lifetime: a.DatabaseConnectionLifetime.Duration}
	if creates {
		if db, err = store.Create(ctx, a.DatabaseURL.Reveal(), pool); err == nil {
			_, err = db.Migrate(ctx, a.Warn)
		}
	} else {
		if db, err = store.Open(ctx, a.DatabaseURL.Reveal(), pool); err == nil {
			err = db.CheckSchema(ctx)
		}
	}
	if err != nil && db != nil {
		err = errors.Join(err, db.Close())
	}
	return db, err
}

// checkDatabase looks at the files of an SQLite database before they are opened or made.
func (a *App) checkDatabase(creates bool) error {
	file, ok := store.SQLitePath(a.DatabaseURL.Reveal())
	if !ok {
		return nil
	}
	exists, err := store.CheckFiles(file)
	if err != nil {
		return fmt.Errorf("%s: %w", config.Variable("database-url"), err)
	}
	if creates {
		return nil
	}
	if info, err := os.Stat(file); exists && err == nil && info.Size() == 0 {
		return fmt.Errorf("the database %s is empty; create its tables with: sesame migrate (sesame serve does it too)", absolute(file))
	}
	if !exists {
		return fmt.Errorf("there is no database %s; name yours with %s, or create one with: sesame migrate (sesame serve creates one too)",
			absolute(file), config.Variable("database-url"))
	}
	return nil
}

// withSecondKey returns the master key, accepting the second one if the settings name one.
func (a *App) withSecondKey(master token.MasterKey) (token.MasterKey, error) {
	var second token.MasterKey
	var err error
	setting := "second-master-key"
	switch {
	case !a.SecondMasterKey.Empty():
		second, err = token.ParseMasterKey(a.SecondMasterKey.Reveal())
	case a.SecondMasterKeyFile != "":
		setting = "second-master-key-file"
		second, err = token.ReadMasterKey(a.SecondMasterKeyFile)
	default:
		return master, nil
	}
	if err == nil && second.Equal(master) {
		err = errors.New("the second master key is the same as the first; remove it, or see docs/guides/keys.md for how to replace a master key")
	}
	if err != nil {
		return master, fmt.Errorf("%s: %w", config.Variable(setting), err)
	}
	return master.Accepting(second), nil
}

// masterKey finds the master key where the settings say, or makes it beside a new SQLite file.
func (a *App) masterKey(creates bool) (token.MasterKey, error) {
	if !a.MasterKey.Empty() {
		key, err := token.ParseMasterKey(a.MasterKey.Reveal())
		if err != nil {
			err = fmt.Errorf("%s: %w", config.Variable("master-key"), err)
		}
		return key, err
	}
	// Looked at before the key: another process that starts now makes the key first, and then writes to the database.
	database, _ := store.SQLitePath(a.DatabaseURL.Reveal())
	info, err := os.Stat(database)
	written := err == nil && info.Size() > 0
	key, err := token.ReadMasterKey(a.MasterKeyFile)
	if !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			err = fmt.Errorf("%s: %w", config.Variable("master-key-file"), err)
		}
		return key, err
	}
	if a.keyFileGiven { // and perhaps mistyped
		return key, fmt.Errorf("there is no master key file %s; %s names it", a.MasterKeyFile, config.Variable("master-key-file"))
	}
	if !creates || written {
		return key, fmt.Errorf("the database %s is here but its master key %s is not; put the file back, or give %s",
			absolute(database), absolute(a.MasterKeyFile), config.Variable("master-key"))
	}
	return token.MakeMasterKey(a.MasterKeyFile)
}

// DatabaseName says which database is open, without a password.
func (a *App) DatabaseName() string {
	if file, ok := store.SQLitePath(a.DatabaseURL.Reveal()); ok {
		return absolute(file)
	}
	return "PostgreSQL"
}

// KeyFileName is the absolute name of the file of the master key.
func (a *App) KeyFileName() string { return absolute(a.MasterKeyFile) }

func absolute(file string) string {
	if whole, err := filepath.Abs(file); err == nil {
		return whole
	}
	return file
}
