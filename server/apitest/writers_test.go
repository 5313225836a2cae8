package apitest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sesame/gen/api"
)

// writer is one of many who write at once, now through one server, now through another.
type writer struct {
	t       *testing.T
	servers []*server
	turn    int
	name    string
	tokens  api.Token // the newest that were acknowledged
	ended   api.Token // of a session whose end was
}

// ask sends a request to the next server, and tells whether the answer is the expected one.
func (w *writer) ask(r request, want int) (*answer, bool) {
	w.turn++
	a, err := w.servers[w.turn%len(w.servers)].try(r)
	if err != nil {
		w.t.Errorf("%s: %s %s: %v", w.name, r.method, r.path, err)
		return a, false
	}
	if a.status != want {
		w.t.Errorf("%s: %s %s: want %d, got %d %s", w.name, r.method, r.path, want, a.status, a.body)
		return a, false
	}
	if err = checkAnswer(r.method, r.path, a); err != nil {
		w.t.Errorf("%s: %s %s: %v", w.name, r.method, r.path, err)
	}
	return a, true
}

// work registers, logs in twice, ends one of the sessions, and refreshes the other and renames itself so many
// times. It stops at the first answer that is not the expected one.
func (w *writer) work(rounds int) {
	a, ok := w.ask(request{method: "POST", path: "/users", json: map[string]string{"username": w.name, "password": horse}}, 201)
	for _, tokens := range []*api.Token{&w.ended, &w.tokens} {
		if ok {
			if a, ok = w.ask(passwordGrant(w.name, horse), 200); ok {
				*tokens = decode[api.Token](a)
			}
		}
	}
	if ok {
		a, ok = w.ask(request{method: "GET", path: "/users/me/sessions", token: w.tokens.AccessToken}, 200)
	}
	if ok {
		for _, session := range decode[api.SessionPage](a).Items {
			if !session.Current {
				_, ok = w.ask(request{method: "DELETE", path: "/users/me/sessions/" + session.ID, token: w.tokens.AccessToken}, 204)
			}
		}
	}
	for i := 1; i <= rounds && ok; i++ {
		if a, ok = w.ask(refreshGrant(w.tokens.RefreshToken), 200); ok {
			w.tokens = decode[api.Token](a)
			_, ok = w.ask(patch(w.tokens.AccessToken, fmt.Sprintf(`{"full_name":"Round %d"}`, i)), 200)
		}
	}
}

// check looks that nothing is lost that was acknowledged.
func (w *writer) check(rounds int) {
	for range w.servers { // each of them
		a, ok := w.ask(me(w.tokens.AccessToken), 200)
		if name := "Round " + strconv.Itoa(rounds); ok && !strings.Contains(string(a.body), name) {
			w.t.Errorf("%s: want %s: %s", w.name, name, a.body)
		}
		w.ask(me(w.ended.AccessToken), 401)
		w.ask(refreshGrant(w.ended.RefreshToken), 400)
	}
	w.ask(refreshGrant(w.tokens.RefreshToken), 200)
}

// onePlace is the address of all servers together, so that each takes the tokens of the others.
const onePlace = "SESAME_PUBLIC_URL=https://login.example.com"

// A4: 64 clients write at once through one server, or through two on one file, which are processes of their own,
// while others import accounts and create clients at the command line. Every answer is the expected one, and nothing
// that was acknowledged is lost.
func TestManyWritersAtOnce(t *testing.T) {
	const writers, rounds, imports, imported = 64, 10, 3, 700
	together := func(t *testing.T, servers ...*server) {
		var wait sync.WaitGroup
		all := make([]*writer, writers)
		for i := range all {
			all[i] = &writer{t: t, servers: servers, turn: i, name: fmt.Sprintf("writer-%d", i)}
			wait.Go(func() { all[i].work(rounds) })
		}
		dbURL := servers[0].dbURL
		for i := range imports {
			wait.Go(func() {
				var lines strings.Builder
				for n := range imported {
					fmt.Fprintf(&lines, `{"username":"import-%d-%d"}`+"\n", i, n)
				}
				for _, c := range [][]string{{"user", "import", "-"}, {"client", "create", fmt.Sprintf("client-%d", i)}, {"user", "grant", fmt.Sprintf("import-%d-1", i), "users:read"}} {
					if output, err := spawnCommand(t, dbURL, lines.String(), c...); err != nil {
						t.Errorf("%v: %v\n%s", c, err, output)
					}
				}
			})
		}
		wait.Wait()
		if t.Failed() {
			return
		}
		for _, w := range all {
			w.check(rounds)
		}
		s := servers[0]
		for query, want := range map[string]int{
			`SELECT CAST(COUNT(*) AS TEXT) FROM users`:                                 writers + imports*imported,
			`SELECT CAST(COUNT(*) AS TEXT) FROM clients`:                               imports,
			`SELECT CAST(COUNT(*) AS TEXT) FROM sessions`:                              writers,
			`SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE scopes <> ''`:              imports,
			`SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'account_created'`: writers + imports*imported,
			`SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'login'`:           2 * writers,
			`SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'logout'`:          writers,
		} {
			if got := s.value(t, query); got != strconv.Itoa(want) {
				t.Errorf("%s: %s, want %d", query, got, want)
			}
		}
	}
	onEachEngine(t, func(t *testing.T, s *server) { together(t, s) }, onePlace)
	t.Run("two servers of one process", func(t *testing.T) {
		t.Parallel()
		file := sqliteURL(t)
		together(t, start(t, file, onePlace), start(t, file, onePlace))
	})
	t.Run("two processes", func(t *testing.T) {
		t.Parallel()
		file := sqliteURL(t)
		together(t, spawn(t, file, onePlace), spawn(t, file, onePlace))
	})
}
