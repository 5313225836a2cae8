package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"sesame/server/internal/app"
	"sesame/server/internal/config"
	"sesame/server/internal/store"
)

type backupCommand struct {
	File string `arg:"" help:"The new file; an existing one is not overwritten."`
}

// Run copies the SQLite database to a file, while the server runs.
func (c *backupCommand) Run(p *program) error {
	size, err := app.Backup(p.ctx, *p.Settings, c.File)
	switch {
	case errors.Is(err, store.ErrNotSQLite):
		return fmt.Errorf("sesame backup copies SQLite databases; PostgreSQL has a program for it:\n"+
			"  umask 077 && pg_dump --format=custom --file=%s %s\n%s", shellWord(c.File), shellWord(withoutPassword(p.DatabaseURL.Reveal())), p.keyToKeep())
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("there is a file %s already; name a new one", c.File)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(p.Stdout, "Wrote %d bytes to %s, which only you can read.\n%s\n", size, c.File, p.keyToKeep())
	return err
}

// keyToKeep says what a backup of the database lacks.
func (p *program) keyToKeep() string {
	key := p.InForce(p.Listen).MasterKeyFile
	if key == "" {
		key = "the value of " + config.Variable("master-key")
	}
	return "The master key is not in it, and without the master key no server can use it. Keep a copy of " + key +
		"\nin another place than the backups: together they let a thief sign in as anybody."
}

// withoutPassword returns a postgres:// URL without its password, for a command line that others may see.
func withoutPassword(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "postgres://…"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	query.Del("password")
	query.Del("sslpassword")
	u.RawQuery = query.Encode()
	return u.String()
}
