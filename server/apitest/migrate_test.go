package apitest

import (
	"strings"
	"testing"
)

// migrate --dry-run lists what would run and changes nothing; migrate --to goes to a version, and the server takes it from
// there.
func TestMigrationsArePlannedAndUndone(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range emptyEngines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dbURL := databaseURL(t)
			e := environment{"SESAME_DATABASE_URL": dbURL, "SESAME_MASTER_KEY": testKey()}
			run := func(args ...string) string {
				t.Helper()
				stdout, stderr, code := command(t, "", e, append([]string{"migrate"}, args...)...)
				if code != 0 {
					t.Fatal(stderr)
				}
				return stdout
			}
			plan := run("--dry-run")
			if lines := strings.Split(strings.TrimSpace(plan), "\n"); len(lines) < 14 || lines[0] != "1  accounts" || !strings.Contains(plan, "\n15  large_indexes") {
				t.Errorf("it would run\n%s", plan)
			}
			if again := run("--dry-run"); again != plan {
				t.Errorf("then it would run\n%s", again)
			}
			run()
			if out := run("--dry-run"); !strings.Contains(out, "up to date") {
				t.Error(out)
			}
			s := start(t, dbURL)
			tokens := s.newcomer(t, "ann")
			s.stop()
			run("--to", "13")
			if out := run("--dry-run"); out != "14  session_checks\n15  large_indexes\n16  certificates\n17  address_locks\n" {
				t.Errorf("after --to 13 it would run\n%s", out)
			}
			s = start(t, dbURL)
			s.do(t, refreshGrant(tokens.RefreshToken)).want(200)
			s.stop()
			fails(t, "", e, "there is no schema version 99", "migrate", "--to", "99")
			fails(t, "", e, "there is no schema version 0", "migrate", "--to", "0")
		})
	}
}

// A server starts on a newer schema if the migration that made it has recorded that this version works with it: so a replica
// of the older version can start again in a rolling upgrade, and an upgrade can be taken back.
func TestANewerSchemaThatSupportsThisVersion(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		tokens := s.newcomer(t, "ann")
		s.sql(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9998, TRUE), (9999, TRUE)`)
		s.do(t, refreshGrant(tokens.RefreshToken)).want(200) // a server that runs goes on
		s.stop()
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey(), "SESAME_LISTEN": "127.0.0.1:0"}
		for _, support := range []string{`(9999, 15)`, `(9998, 9998)`} {
			fails(t, "", e, "newer version", "serve")
			fails(t, "", e, "newer version", "user", "list")
			s.sql(t, `INSERT INTO schema_support (version, oldest) VALUES `+support)
		}
		fails(t, "", e, "newer version", "serve")
		s.sql(t, `UPDATE schema_support SET oldest = 15 WHERE version = 9998`)
		s.must(t, "", "user", "list")
		s.must(t, "", "migrate")
		next := start(t, s.dbURL)
		next.do(t, passwordGrant("ann", horse)).want(200)
	})
}
