package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema up to date. It refuses a schema that is newer than this program, unless the newer program has
// recorded that this one works with it. Several processes may do it
// at once: on PostgreSQL they wait for a lock, and on SQLite the later ones find the work done. Migrate calls warn with
// each change to an account that an operator should know about.
func (db *DB) Migrate(ctx context.Context, warn func(string)) (applied int, err error) {
	conns, done := db.forMigrations()
	defer done()
	provider, err := db.migrations(conns, warn)
	if err != nil {
		return 0, fmt.Errorf("read the migrations: %w", err)
	}
	applied, err = migrateRetrying(ctx, provider)
	if errors.Is(err, errNewer) && db.worksWith(ctx, provider) {
		warn("the database was made by a newer version of sesame, which says that this version works with it")
		err = nil
	}
	return applied, err
}

// worksWith reports whether this program works with a schema that is newer. Each migration after 15 that leaves older programs
// what they need says so: it inserts its version into schema_support, with the oldest schema version whose program works with
// it. So in a rolling upgrade a replica of the older version can start again, and an upgrade can be taken back by starting the
// older version.
func (db *DB) worksWith(ctx context.Context, provider *goose.Provider) bool {
	sources := provider.ListSources()
	var unsupported int64
	err := db.read.QueryRowContext(ctx, `
		SELECT COUNT(*) FROM goose_db_version g WHERE g.is_applied AND g.version_id > $1 AND NOT EXISTS (
			SELECT 1 FROM schema_support s WHERE s.version = g.version_id AND s.oldest <= $1)`, sources[len(sources)-1].Version).Scan(&unsupported)
	return err == nil && unsupported == 0
}

// forMigrations returns connections without limits of time, since a migration may rewrite a large table.
func (db *DB) forMigrations() (conns *sql.DB, done func()) {
	if db.engine.patient == nil {
		return db.write, func() {}
	}
	conns = db.engine.patient()
	return conns, func() { _ = conns.Close() }
}

func migrateRetrying(ctx context.Context, provider *goose.Provider) (applied int, err error) {
	for try := 1; ; try++ {
		if applied, err = migrate(ctx, provider); err == nil || try == 5 || errors.Is(err, errNewer) {
			return applied, err
		}
		select { // another process may be migrating the same file
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string
}

// goMigration is a migration that is not a file, and the name that PendingMigrations shows.
type goMigration struct {
	name string
	*goose.Migration
}

// goMigrations returns the migrations that are not files.
func (db *DB) goMigrations(warn func(string)) []goMigration {
	dialect := db.engine.dialect
	all := []goMigration{
		{"addresses", addresses(warn)},
		{"session_checks", sessionChecks(dialect)},
		{"large_indexes", largeIndexes(dialect)},
		{"devices_and_logouts", devicesAndLogouts(dialect)},
		{"user_lists", userLists(dialect)},
		{"client_lists", clientLists(dialect)},
		{"operations", operations(dialect)},
		{"webhooks", webhooksAndDeliveries(dialect)},
	}
	if dialect == "postgres" {
		all = append(all, goMigration{"compare_bytes", compareBytes()})
	}
	return all
}

// PendingMigrations lists the migrations that Migrate would run. It changes nothing. db may be nil, for a database that does
// not exist yet. Errors: that of Migrate for a newer schema.
func PendingMigrations(ctx context.Context, db *DB) (pending []Migration, err error) {
	var applied []int64
	if db == nil { // only SQLite's can be missing
		db = &DB{engine: engine{dialect: "sqlite3"}, write: new(sql.DB)} // a provider needs one, and uses it only to migrate
	} else if applied, err = db.appliedMigrations(ctx); err != nil {
		return nil, fmt.Errorf("read the schema version: %w", err)
	}
	provider, err := db.migrations(db.write, func(string) {})
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	inGo := db.goMigrations(func(string) {})
	var latest int64
	for _, source := range provider.ListSources() {
		latest = source.Version
		if slices.Contains(applied, latest) {
			continue
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(path.Base(source.Path), ".sql"), "_")
		if i := slices.IndexFunc(inGo, func(m goMigration) bool { return m.Version == latest }); i >= 0 {
			name = inGo[i].name
		}
		pending = append(pending, Migration{latest, name})
	}
	if len(applied) > 0 && slices.Max(applied) > latest && !db.worksWith(ctx, provider) {
		err = errNewer
	}
	return pending, err
}

// MigrateTo migrates the schema up or down to a version.
func (db *DB) MigrateTo(ctx context.Context, version int64, warn func(string)) error {
	conns, done := db.forMigrations()
	defer done()
	provider, err := db.migrations(conns, warn)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	sources := provider.ListSources()
	if !slices.ContainsFunc(sources, func(s *goose.Source) bool { return s.Version == version }) {
		return fmt.Errorf("there is no schema version %d; this program has the versions up to %d", version, sources[len(sources)-1].Version)
	}
	current, target, err := provider.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read the schema version: %w", translate(err))
	case current > target:
		return errNewer
	case version < current:
		_, err = provider.DownTo(ctx, version)
	default:
		_, err = provider.UpTo(ctx, version)
	}
	if err != nil {
		return migrationError(err)
	}
	return nil
}

// migrations returns all migrations, in SQL and in Go.
func (db *DB) migrations(conns *sql.DB, warn func(string)) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	options, err := db.providerOptions()
	if err != nil {
		return nil, err
	}
	for _, m := range db.goMigrations(warn) {
		options = append(options, goose.WithGoMigrations(m.Migration))
	}
	return goose.NewProvider(goose.Dialect(db.engine.dialect), conns, files, options...)
}

// providerOptions are the options of every provider. On PostgreSQL, processes that migrate at once wait for each other. A row
// is the lock: advisory locks do not work through a pooler, and not every database that speaks PostgreSQL's protocol has them.
func (db *DB) providerOptions() ([]goose.ProviderOption, error) {
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if db.engine.dialect != "postgres" {
		return options, nil
	}
	locker, err := lock.NewPostgresTableLocker(lock.WithTableLockTimeout(200*time.Millisecond, 600),
		lock.WithTableLeaseDuration(10*time.Second), lock.WithTableHeartbeatInterval(2*time.Second)) // a process that is killed leaves it
	return append(options, goose.WithLocker(locker)), err
}

// CheckSchema returns an error unless the schema is that of this program. Unlike Migrate it changes nothing, and creates no
// table in an empty database.
func (db *DB) CheckSchema(ctx context.Context) error {
	provider, err := db.migrations(db.write, func(string) {})
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	applied, err := db.appliedMigrations(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	var latest int64
	for _, source := range provider.ListSources() {
		if latest = source.Version; !slices.Contains(applied, latest) {
			err = errOlder
		}
	}
	if len(applied) > 0 && slices.Max(applied) > latest && !db.worksWith(ctx, provider) {
		err = errNewer
	}
	return err
}

// SchemaVersion returns the version of the schema of the database.
func (db *DB) SchemaVersion(ctx context.Context) (int64, error) {
	versions, err := db.appliedMigrations(ctx)
	if err != nil || len(versions) == 0 {
		return 0, err
	}
	return slices.Max(versions), nil
}

// appliedMigrations lists the versions that goose has recorded in the database.
func (db *DB) appliedMigrations(ctx context.Context) (versions []int64, err error) {
	var tables int
	query := `SELECT COUNT(to_regclass('goose_db_version'))`
	if db.engine.dialect == "sqlite3" {
		query = `SELECT COUNT(*) FROM sqlite_master WHERE name = 'goose_db_version'`
	}
	if err = db.read.QueryRowContext(ctx, query).Scan(&tables); err != nil || tables == 0 {
		return nil, translate(err)
	}
	rows, err := db.read.QueryContext(ctx, `SELECT version_id FROM goose_db_version WHERE is_applied`)
	return collect(rows, err, func(version *int64) []any { return []any{version} })
}

// compareBytes is migration 8. It makes PostgreSQL compare folded names and addresses byte by byte, as SQLite does,
// whatever the language of the database: only then is a prefix a range of an index.
func compareBytes() *goose.Migration {
	run := func(collation string) *goose.GoFunc {
		return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `ALTER TABLE users ALTER COLUMN username_key TYPE TEXT COLLATE "`+collation+`",
				ALTER COLUMN email_key TYPE TEXT COLLATE "`+collation+`"`)
			return err
		}}
	}
	return goose.NewGoMigration(8, run("C"), run("default"))
}

// migrationError explains why a migration failed.
func migrationError(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" { // lock timeout
		return fmt.Errorf("migrate the schema: a long transaction, perhaps that of pg_dump, holds a table that has to be changed; "+
			"try again when it has ended (pg_stat_activity lists it): %w", translate(err))
	}
	return fmt.Errorf("migrate the schema: %w", translate(err))
}

var errOlder = errors.New("the schema of the database is older than this version of sesame; run: sesame migrate")

var errNewer = errors.New("the database was made by a newer version of sesame; start that version, go back with its command sesame migrate --to, or restore an older copy")

func migrate(ctx context.Context, provider *goose.Provider) (applied int, err error) {
	current, target, err := provider.GetVersions(ctx)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the schema version: %w", translate(err))
	case current > target:
		return 0, errNewer
	case current == target:
		// HasPending fails for a migration that was added later with a lower number, and so was skipped.
		if _, err = provider.HasPending(ctx); err != nil {
			return 0, fmt.Errorf("a migration was skipped because later ones have run; give it the next free number: %w", translate(err))
		}
		return 0, nil
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return 0, migrationError(err)
	}
	return len(done), nil
}
