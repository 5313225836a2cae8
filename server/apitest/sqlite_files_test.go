package apitest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sesame/server/internal/store"
)

// An SQLite database that is deleted, moved or replaced under a running server is an outage: SQLite would go on, and
// acknowledge writes that are gone at the next start.
func TestAnSQLiteFileThatIsLost(t *testing.T) {
	t.Parallel()
	replace := func(file string) error {
		content, err := os.ReadFile(file)
		return errors.Join(err, os.WriteFile(file+".new", content, 0o600), os.Rename(file+".new", file))
	}
	aside := func(file string) error { return os.Rename(file, file+".aside") }
	for what, c := range map[string]struct {
		suffix string
		lose   func(file string) error
		log    string
	}{
		"the database is deleted":  {"", os.Remove, "was deleted"},
		"the database is replaced": {"", replace, "was replaced"},
		"the log is deleted":       {"-wal", os.Remove, `sesame\.db-wal was (deleted|replaced)`}, // by a connection that is opened meanwhile
		"the log is replaced":      {"-wal", replace, `sesame\.db-wal was replaced`},
		"the database is moved":    {"", aside, "was deleted"},
		"the folder is moved":      {"", func(file string) error { return aside(filepath.Dir(file)) }, "was deleted"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			template, err := migratedSQLite()
			file := filepath.Join(folder, "sesame.db")
			if err = errors.Join(err, os.WriteFile(file, template, 0o600)); err != nil {
				t.Fatal(err)
			}
			s := start(t, "sqlite:"+file)
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(s.log)
				}
			})
			lose := func() {
				if err := c.lose(file + c.suffix); err != nil {
					t.Error(err)
				}
				// Nobody has asked for anything since.
				said := regexp.MustCompile(`"the database is lost".*` + c.log + `.*stop the server`)
				until(t, "the log says it", func() bool { return said.MatchString(s.log.String()) })
			}
			if c.suffix == "" && strings.HasSuffix(what, "moved") {
				back := map[bool]string{true: file, false: folder}[what == "the database is moved"]
				s.whileReadOnly(t, lose, func() {
					if err := os.Rename(back+".aside", back); err != nil {
						t.Error(err)
					}
				})
				until(t, "the log says that it is back", func() bool { return strings.Contains(s.log.String(), "are back") })
				return
			}
			tokens := s.newcomer(t, "ann")
			s.do(t, get("/readyz")).want(200)
			s.untilNoneWaits(t) // the stop would wait for a mail whose outcome cannot be recorded
			lose()
			s.do(t, get("/readyz")).want(503, "unavailable")
			for _, r := range []request{
				patch(tokens.AccessToken, `{"full_name":"Ann"}`),
				{method: "POST", path: "/users", json: map[string]any{"username": "bob", "password": horse}},
				passwordGrant("ann", horse), passwordGrant("ann", wrong), refreshGrant(tokens.RefreshToken),
			} {
				if a := s.do(t, r); a.status != 503 || a.header.Get("Retry-After") == "" {
					t.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.code())
				}
			}
			// Reads go on, but a connection that is opened only now cannot read beside a log that is not there.
			if a := s.do(t, me(tokens.AccessToken)); a.status != 200 && (c.suffix == "" || a.status != 503) {
				t.Errorf("a read: %d %s", a.status, a.body)
			}
			if n := strings.Count(s.log.String(), "the database is lost"); n != 1 {
				t.Errorf("it was logged %d times", n)
			}
		})
	}
}

// Writers that race with the loss: the file that was moved away has every write that was acknowledged.
func TestNoAcknowledgedWriteIsInALostFile(t *testing.T) {
	t.Parallel()
	databaseURL := sqliteURL(t)
	s := start(t, databaseURL)
	file, _ := store.SQLitePath(databaseURL)
	var mu sync.Mutex
	var made []string
	var writers sync.WaitGroup
	begun := make(chan struct{}, 64)
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				a, err := s.try(request{method: "POST", path: "/users", json: map[string]any{"username": name, "password": horse}})
				if err != nil || a.status == 503 {
					return
				}
				if a.status == 201 {
					mu.Lock()
					made = append(made, name)
					mu.Unlock()
				}
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 10 {
		<-begun
	}
	moved := filepath.Join(t.TempDir(), "sesame.db")
	for _, suffix := range []string{"", "-wal"} {
		if err := os.Rename(file+suffix, moved+suffix); err != nil {
			t.Fatal(err)
		}
	}
	writers.Wait()
	s.stop()
	old := server{t: t, dbURL: "sqlite:" + moved}
	for _, name := range made {
		if n := old.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE username = '`+name+`'`); n != "1" {
			t.Errorf("%s was acknowledged and is not there", name)
		}
	}
	if len(made) == 0 {
		t.Error("nothing was written")
	}
}

// A link that is changed to another database is a replacement, too: the next start would open that one.
func TestALinkToAnotherSQLiteFile(t *testing.T) {
	t.Parallel()
	template, err := migratedSQLite()
	folder := t.TempDir()
	one, two, link := filepath.Join(folder, "one.db"), filepath.Join(folder, "two.db"), filepath.Join(folder, "sesame.db")
	err = errors.Join(err, os.WriteFile(one, template, 0o600), os.WriteFile(two, template, 0o600), os.Symlink(one, link))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "sqlite:"+link)
	s.newcomer(t, "ann")
	s.untilNoneWaits(t)
	if err = errors.Join(os.Remove(link), os.Symlink(two, link)); err != nil {
		t.Fatal(err)
	}
	s.do(t, get("/readyz")).want(503, "unavailable")
	s.create(t, map[string]any{"username": "bob", "password": horse}).want(503, "unavailable")
	if err = errors.Join(os.Remove(link), os.Symlink(one, link)); err != nil {
		t.Fatal(err)
	}
	s.create(t, map[string]any{"username": "bob", "password": horse}).want(201)
}
