package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/audit"
	"sesame/server/internal/store"
)

// lineByID reads an event log: the lines by the id of their event.
func lineByID(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	lines := map[string]map[string]any{}
	for line := range strings.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		id, _ := e["id"].(string)
		if lines[id] != nil {
			t.Errorf("%s is there twice", id)
		}
		lines[id] = e
	}
	return lines
}

// listedEvents are the events as GET /events shows them.
func (s *server) listedEvents(t *testing.T, token string) map[string]map[string]any {
	t.Helper()
	all, path := map[string]map[string]any{}, "/events?limit=100"
	for {
		r := get(path)
		r.token = token
		var page struct {
			Items      []map[string]any
			NextCursor *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(s.do(t, r).want(200).body, &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			all[e["id"].(string)] = e
		}
		if page.NextCursor == nil {
			return all
		}
		path = "/events?limit=100&cursor=" + *page.NextCursor
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every event of each kind is a line of the event log when its request is answered, as GET /events shows it; those of a
// command at the same file, too.
func TestTheEventLogHasEveryEvent(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "events.jsonl")
			s := start(t, databaseURL(t), "SESAME_EVENT_LOG="+file, proxied, privateProviders, "SESAME_PRIVATE_WEBHOOKS=on")
			_, root := s.administrator(t, "root")
			signIn := func() string {
				return decode[api.Token](s.do(t, withScope(passwordGrant("root", horse), "me:read users:read users:write events:read settings:write")).want(200)).AccessToken
			}
			elsewhere := map[any]bool{} // the names of those of whom another process records events: the test itself, or a server without the log
			for i, deed := range deeds {
				ann := decode[api.User](s.do(t, here(request{method: "POST", path: "/users", json: map[string]string{
					"username": fmt.Sprintf("ann%d", i), "password": horse,
				}})).want(201))
				elsewhere[ann.Username] = deed.kind == "passkey_copied" || deed.kind == "factors_reset"
				if deed.do(t, s, ann, root); strings.HasSuffix(deed.name, "revoked") {
					root = signIn()
				}
			}
			e := map[string]string{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey(), "SESAME_EVENT_LOG": file}
			if _, stderr, code := command(t, horse, e, "user", "create", "zoe"); code != 0 {
				t.Fatal(stderr)
			}
			var lines, shown map[string]map[string]any
			until(t, "what is recorded after the answers is recorded", func() bool { // password_accepted
				shown, lines = s.listedEvents(t, root), lineByID(t, read(t, file))
				return strings.Count(fmt.Sprint(shown), "password_accepted") == strings.Count(fmt.Sprint(lines), "password_accepted") && strings.Contains(fmt.Sprint(lines), "password_accepted")
			})
			for id, e := range lines {
				if !reflect.DeepEqual(e, shown[id]) {
					t.Errorf("the line is %v, and GET /events shows %v", e, shown[id])
				}
			}
			for id, e := range shown {
				if fromCommand := e["actor"] == "command line" && e["username"] != "zoe"; lines[id] == nil && !fromCommand && !elsewhere[e["username"]] {
					t.Errorf("no line has %v", e)
				}
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file has the mode %v: %v", info.Mode(), err)
			}
		})
	}
}

// An event is reported once its transaction is committed, when others can read it, and never if it is rolled back.
func TestEventsAreReportedAfterTheCommit(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db, err := store.Open(t.Context(), s.dbURL)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var reported []string
		db.OnEvent(func(e store.Event) {
			if reported = append(reported, e.Kind); s.value(t, `SELECT kind FROM events WHERE id = '`+e.ID+`'`) != e.Kind {
				t.Errorf("%s is not committed", e.Kind)
			}
		})
		record := func(q *store.Queries, kind audit.Kind) error {
			return audit.Record(t.Context(), q, kind, store.Event{UserID: newID()}, time.Now())
		}
		failed := errors.New("the rest of the operation")
		err = db.Tx(t.Context(), func(q *store.Queries) error { return errors.Join(record(q, audit.AccountDeleted), failed) })
		if !errors.Is(err, failed) || len(reported) > 0 {
			t.Errorf("%v: %v are reported", err, reported)
		}
		err = db.Tx(t.Context(), func(q *store.Queries) error {
			return errors.Join(record(q, audit.Login), record(q, audit.Logout), func() error {
				if len(reported) > 0 {
					return errors.New("reported before the commit")
				}
				return nil
			}())
		})
		if err = errors.Join(err, record(&db.Queries, audit.LoginFailed)); err != nil || !slices.Equal(reported, []string{"login", "logout", "login_failed"}) {
			t.Errorf("%v: %v are reported", err, reported)
		}
		if err = record(&db.Queries, audit.Kind(strings.Repeat("x", 10))); err != nil {
			t.Fatal(err)
		}
		s.sql(t, `DROP TABLE events`)
		if err = record(&db.Queries, audit.Login); err == nil || len(reported) != 4 {
			t.Errorf("%v: %v are reported", err, reported)
		}
	})
}

// A line that a full disk cuts does not spoil the next one, and each loss is reported.
func TestALineThatIsCutDoesNotSpoilTheNext(t *testing.T) {
	t.Parallel()
	disk := &fullDisk{room: 400}
	var lost []error
	stream := audit.NewStream(disk, func(err error) { lost = append(lost, err) })
	write := func(name string) { stream.Write(store.Event{ID: newID(), Kind: "login", Username: name}) }
	write("ann")
	write("bob") // half of it has room
	write("cleo")
	disk.room = 10_000
	write("dan")
	write("eve")
	lines := strings.Split(strings.TrimSuffix(disk.b.String(), "\n"), "\n")
	if len(lines) != 4 || len(lost) != 2 {
		t.Fatalf("%d lines, %d are lost: %q", len(lines), len(lost), lines)
	}
	for i, name := range map[int]string{0: "ann", 2: "dan", 3: "eve"} {
		if e := lineByID(t, lines[i]); !strings.Contains(fmt.Sprint(e), name) {
			t.Errorf("line %d is %v", i, e)
		}
	}
	for _, err := range lost {
		if !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "bob") {
			t.Errorf("reported is %v", err)
		}
	}
}

// fullDisk takes so many bytes.
type fullDisk struct {
	b    bytes.Buffer
	room int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room-d.b.Len())
	d.b.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestTheEventLogSurvivesRotation(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	folder := t.TempDir()
	file, moved := filepath.Join(folder, "events.jsonl"), filepath.Join(folder, "events.jsonl.1")
	s, pid := spawnPID(t, sqliteURL(t), "SESAME_EVENT_LOG="+file)
	s.register(t, "ann")
	if err := os.Rename(file, moved); err != nil {
		t.Fatal(err)
	}
	s.login(t, "ann") // still to the old file
	hangUp := func() {
		if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangUp()
	until(t, "the file is there again", func() bool { _, err := os.Stat(file); return err == nil })
	until(t, "the log says so", func() bool { return strings.Contains(s.log.String(), "the event log is open again") })
	s.register(t, "bob")
	if text := read(t, moved); strings.Count(text, "\n") != 2 || !strings.Contains(text, `"kind":"login"`) {
		t.Errorf("the old file has %s", text)
	}
	if text := read(t, file); strings.Count(text, "\n") != 1 || !strings.Contains(text, "bob") {
		t.Errorf("the new file has %s", text)
	}
	// A folder that is gone loses no line: the file that is open stays.
	if err := os.Rename(folder, folder+"-moved"); err != nil {
		t.Fatal(err)
	}
	hangUp()
	until(t, "the log says why the file cannot be opened", func() bool { return strings.Contains(s.log.String(), "stays in the old file") })
	s.register(t, "cleo")
	if text := read(t, filepath.Join(folder+"-moved", "events.jsonl")); !strings.Contains(text, "cleo") {
		t.Errorf("the file has %s", text)
	}
}

// Without a file there is nothing to reopen, so a server whose terminal is closed ends, as programs do.
func TestHangingUpEndsAServerWithoutAnEventLog(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	// A signal that this process ignores, as under nohup, would be ignored by the server, too; one that it handles is not.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGHUP)
	defer signal.Stop(handled)
	c, output := process(t, sqliteURL(t), "serve"), newLines()
	c.Stdout = output
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fetch(t, output.find(readyLine)+"/healthz") // from now on it would handle the signal
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP {
		t.Errorf("it ended with %v", err)
	}
	output.Close()
}

func TestTheLevelOfTheLogChangesWhileItRuns(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	s, pid := spawnPID(t, sqliteURL(t), "SESAME_LOG_LEVEL=warn")
	toggle := func(want string) {
		t.Helper()
		if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		until(t, "the log says "+want, func() bool { return strings.Contains(s.log.String(), want) })
	}
	count := func() int { return strings.Count(s.log.String(), `"msg":"request"`) }
	s.register(t, "ann")
	toggle(`"level":"DEBUG"`)
	if count() != 0 {
		t.Error("requests are logged at warn")
	}
	s.register(t, "bob")
	until(t, "the request is logged", func() bool { return count() == 1 })
	toggle(`changed","level":"WARN"`)
	s.register(t, "cleo")
	if text := s.wholeLog(); strings.Count(text, `"msg":"request"`) != 1 {
		t.Errorf("the log is\n%s", text)
	}
}

// Standard output has the events alone: the greeting goes to standard error. A command does not write them there.
func TestEventsOnStandardOutput(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	databaseURL := sqliteURL(t)
	c, out, errs := process(t, databaseURL, "serve"), &lockedBuffer{}, newLines()
	c.Env = append(c.Env, "SESAME_EVENT_LOG=stdout")
	c.Stdout, c.Stderr = out, errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, url: errs.find(readyLine), client: &http.Client{}}
	s.register(t, "ann")
	s.login(t, "ann")
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil || len(lineByID(t, out.String())) != 2 {
		t.Errorf("%v: standard output has\n%s", err, out)
	}
	errs.Close()
	command := process(t, databaseURL, "user", "create", "bob", "--json")
	command.Env, command.Stdin = append(command.Env, "SESAME_EVENT_LOG=stdout"), strings.NewReader(horse)
	if printed, err := command.Output(); err != nil || strings.Contains(string(printed), "account_created") {
		t.Errorf("%v: a command prints %s", err, printed)
	}
}

func TestAnEventLogThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	e := environment{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_EVENT_LOG": filepath.Join(t.TempDir(), "none", "events.jsonl")}
	fails(t, "", e, "SESAME_EVENT_LOG: open the event log", "serve")
	// Opening a pipe waits for a program that reads it, and so would the start, and each write if that program stops reading.
	pipe := filepath.Join(t.TempDir(), "events")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	e["SESAME_EVENT_LOG"] = pipe
	fails(t, "", e, "is not a regular file", "serve")
	e["SESAME_EVENT_LOG"] = filepath.Dir(pipe)
	fails(t, "", e, "is not a regular file", "serve")
}

// Lines of events would damage a file of the server, under whatever name.
func TestAnEventLogIsNoFileOfTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	s.register(t, "ann")
	s.stop()
	database, _ := strings.CutPrefix(s.dbURL, "sqlite:")
	key := writeFile(t, "master.key", testKey()+"\n")
	link := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.Symlink(key, link); err != nil {
		t.Fatal(err)
	}
	e := environment{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY_FILE": key}
	for _, file := range []string{database, database + "-wal", key, link, filepath.Dir(key) + "/./master.key"} {
		e["SESAME_EVENT_LOG"] = file
		fails(t, "", e, "is a file of the server", "serve")
	}
	if text, err := os.ReadFile(key); err != nil || string(text) != testKey()+"\n" {
		t.Errorf("the key is now %q (%v)", text, err)
	}
	if _, err := os.Stat(database + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log of the database was made: %v", err)
	}
}
