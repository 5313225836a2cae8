package apitest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

// The restore drill: a backup that is made while others write has every write that was acknowledged before it. Restored in
// another folder with the master key, it is the same server: passwords, tokens and sessions work.
func TestABackupIsRestored(t *testing.T) {
	t.Parallel()
	databaseURL := emptySQLiteURL(t)
	settings := []string{"SESAME_MASTER_KEY=", "SESAME_PUBLIC_URL=https://login.example"} // the key is in its file
	s := start(t, databaseURL, settings...)
	tokens := s.newcomer(t, "ann")

	var mu sync.Mutex
	var made []string
	var writers sync.WaitGroup
	enough, stop := make(chan struct{}, 1024), make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("w%d-%d", w, i)
				if a, err := s.try(request{method: "POST", path: "/users", json: map[string]any{"username": name, "password": horse}}); err != nil || a.status != 201 {
					continue // the queue of hashes is full
				}
				mu.Lock()
				made = append(made, name)
				mu.Unlock()
				select {
				case enough <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 40 {
		<-enough
	}
	mu.Lock()
	acknowledged := slices.Clone(made)
	mu.Unlock()
	file, _ := store.SQLitePath(databaseURL)
	backup := filepath.Join(t.TempDir(), "backup.db")
	out, err := spawnCommand(t, databaseURL, "", "backup", backup)
	close(stop)
	writers.Wait()
	if err != nil || !strings.Contains(out, "Wrote ") || !strings.Contains(out, "master key is not in it") {
		t.Fatalf("%v\n%s", err, out)
	}
	s.stop()
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", err, info.Mode())
	}
	if left := files(t, filepath.Dir(backup)); len(left) != 1 {
		t.Errorf("the backup left %v", left)
	}

	restored := filepath.Join(t.TempDir(), "sesame.db")
	copyFile(t, backup, restored)
	fails(t, "", environment{"SESAME_DATABASE_URL": "sqlite:" + restored, "SESAME_LISTEN": "127.0.0.1:0"}, "its master key "+restored+".key is not", "serve")
	copyFile(t, file+".key", restored+".key")
	s = start(t, "sqlite:"+restored, settings...)
	for _, name := range acknowledged {
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE username = '`+name+`'`); n != "1" {
			t.Errorf("%s was acknowledged before the backup and is not in it", name)
		}
	}
	s.do(t, passwordGrant(acknowledged[0], horse)).want(200)
	s.do(t, me(tokens.AccessToken)).want(200)
	next := decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
	s.do(t, patch(next.AccessToken, `{"full_name":"Ann"}`)).want(200)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err = errors.Join(err, os.WriteFile(to, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// A backup overwrites nothing, leaves nothing where it fails, needs no master key, and copies a schema of any version.
func TestABackupOverwritesNothing(t *testing.T) {
	t.Parallel()
	databaseURL := sqliteURL(t)
	folder := t.TempDir()
	taken := filepath.Join(folder, "taken")
	if err := errors.Join(os.WriteFile(taken, []byte("mine"), 0o600), os.Symlink("nowhere", filepath.Join(folder, "link"))); err != nil {
		t.Fatal(err)
	}
	e := environment{"SESAME_DATABASE_URL": databaseURL}
	for file, reason := range map[string]string{
		taken:                                 "there is a file",
		filepath.Join(folder, "link"):         "there is a file",
		filepath.Join(folder, "none", "x.db"): "no such file or directory",
		folder:                                "there is a file",
		strings.TrimPrefix(databaseURL, "sqlite:"): "there is a file",
	} {
		fails(t, "", e, reason, "backup", file)
	}
	if content, err := os.ReadFile(taken); err != nil || string(content) != "mine" {
		t.Errorf("%v: %q", err, content)
	}
	if left := files(t, folder); len(left) != 2 {
		t.Errorf("left are %v", left)
	}
	if err := rawSQL(t.Context(), databaseURL, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`, nil); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(folder, "newer.db")
	if stdout, stderr, code := command(t, "", e, "backup", newer); code != 0 || !strings.Contains(stdout, newer) {
		t.Errorf("code %d\n%s", code, stderr)
	}
}

// For PostgreSQL the command says what to run, without the password.
func TestABackupOfPostgres(t *testing.T) {
	t.Parallel()
	e := environment{
		"SESAME_DATABASE_URL": "postgres://sesame:db-secret@db.example:5433/login?sslmode=verify-full&sslpassword=db-secret", "SESAME_MASTER_KEY": testKey(),
	}
	fails(t, "", e, "pg_dump --format=custom --file='my dump' 'postgres://sesame@db.example:5433/login?sslmode=verify-full'", "backup", "my dump")
	fails(t, "", e, "the value of SESAME_MASTER_KEY", "backup", "x")
}
