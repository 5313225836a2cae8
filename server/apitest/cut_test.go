package apitest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/audit"
)

// thorough reports whether the faults are tried in their long form (make faults).
func thorough() bool { return killRounds() > 0 }

// trial is an operation on an account of its own, with what shows whether it was done.
type trial struct {
	request
	ok    int        // the status of a success
	again int        // the status when it is sent again after a success
	done  string     // selects 1 after the operation, and 0 before it
	event audit.Kind // that the operation records; "" for none
	after func()     // tries the account when the operation is done
}

// lab tries operations against a server whose connections to PostgreSQL fail.
type lab struct {
	t        *testing.T
	s        *server
	network  *relay
	database *server // the same database, without a relay
	tried    int     // how many trials there were
}

func newLab(t *testing.T) *lab {
	t.Helper()
	direct := postgresURL(t)
	through, network := relayed(t, direct)
	l := &lab{t, start(t, through, idle+"=", proxied), network, &server{t: t, dbURL: direct, clock: &clock{}}, 0}
	l.s.client.Transport = l
	return l
}

// RoundTrip implements http.RoundTripper. Each trial comes from an address of its own, since there are limits for each.
func (l *lab) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.0.%d.%d", l.tried/256, l.tried%256))
	return http.DefaultTransport.RoundTrip(r)
}

const nextHorse = "a bigger wooden horse"

// operations are what must survive a lost connection. Each makes what it needs for a name.
var operations = map[string]func(l *lab, name string) trial{
	"registration": func(l *lab, name string) trial {
		return trial{
			request: request{method: "POST", path: "/users", json: map[string]any{"username": name, "password": horse, "email": name + "@example.com"}},
			ok:      201, again: 409, done: counting("users WHERE username = '%s'", name), event: audit.AccountCreated,
			after: func() { l.s.do(l.t, passwordGrant(name, horse)).want(200) },
		}
	},
	"login": func(l *lab, name string) trial {
		l.s.register(l.t, name)
		return trial{
			request: passwordGrant(name, horse), ok: 200, again: 200, done: counting("sessions"+of, name), event: audit.Login,
			after: func() { l.s.do(l.t, passwordGrant(name, horse)).want(200) },
		}
	},
	"refresh": func(l *lab, name string) trial {
		tokens := l.s.newcomer(l.t, name)
		// Decision 4: the token whose answer was lost returns the same successor.
		return trial{
			request: refreshGrant(tokens.RefreshToken), ok: 200, again: 200, done: counting("sessions"+of+" AND generation = 1", name),
			after: func() {
				next := decode[api.Token](l.s.do(l.t, refreshGrant(tokens.RefreshToken)).want(200))
				l.s.do(l.t, refreshGrant(next.RefreshToken)).want(200)
				l.s.do(l.t, me(next.AccessToken)).want(200)
			},
		}
	},
	"password": func(l *lab, name string) trial {
		tokens := l.s.newcomer(l.t, name)
		l.s.login(l.t, name) // ends
		return trial{
			request: changePassword(tokens.AccessToken, horse, nextHorse), ok: 204, again: 422,
			done: l.hasOtherPassword(name), event: audit.PasswordChanged, after: func() { l.newPasswordAlone(name) },
		}
	},
	"reset": func(l *lab, name string) trial {
		l.s.newcomer(l.t, name)
		l.database.plantCode(l.t, "reset "+name, account.ToReset, "", name+"@example.com")
		return trial{
			request: resetPassword("reset "+name, nextHorse), ok: 204, again: 422,
			done: l.hasOtherPassword(name), event: audit.PasswordReset, after: func() { l.newPasswordAlone(name) },
		}
	},
	"reset request": func(l *lab, name string) trial {
		l.s.register(l.t, name)
		return trial{
			request: requestReset(name + "@example.com"), ok: 202, again: 202,
			done: `SELECT CAST(LEAST(1, COUNT(*)) AS TEXT) FROM one_time_codes WHERE purpose = 'reset' AND email_key = '` + name + `@example.com'`, after: func() {},
		}
	},
	"confirmation": func(l *lab, name string) trial {
		user := l.s.register(l.t, name)
		l.database.plantCode(l.t, "confirm "+name, account.ToConfirm, user.ID, name+"@example.com")
		return trial{
			request: confirmEmail("confirm " + name), ok: 204, again: 422, done: counting("users WHERE email_verified AND username = '%s'", name),
			event: audit.EmailConfirmed, after: func() { l.s.do(l.t, passwordGrant(name+"@example.com", horse)).want(200) },
		}
	},
	"revocation": func(l *lab, name string) trial {
		tokens := l.s.newcomer(l.t, name)
		return trial{
			request: request{method: "POST", path: "/token/revoke", form: map[string][]string{"token": {tokens.RefreshToken}}}, ok: 200, again: 200,
			done: `SELECT CAST(1 - COUNT(*) AS TEXT) FROM sessions` + fmt.Sprintf(of, name), event: audit.Logout,
			after: func() { l.s.do(l.t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_grant") },
		}
	},
	"deletion": func(l *lab, name string) trial {
		l.s.register(l.t, name)
		return trial{
			request: deleteMe(l.s.loginToDelete(l.t, name).AccessToken), ok: 204, again: 401,
			done: `SELECT CAST(1 - COUNT(*) AS TEXT) FROM users WHERE username = '` + name + `'`, event: audit.AccountDeleted,
			after: func() { l.s.do(l.t, passwordGrant(name, horse)).want(400, "invalid_grant") },
		}
	},
	"profile": func(l *lab, name string) trial {
		tokens := l.s.newcomer(l.t, name)
		return trial{
			request: patch(tokens.AccessToken, `{"full_name":"Ann"}`), ok: 200, again: 200, done: counting("users WHERE full_name = 'Ann' AND username = '%s'", name),
			after: func() { l.s.do(l.t, me(tokens.AccessToken)).want(200) },
		}
	},
}

// of selects the rows of a user.
const of = ` WHERE user_id = (SELECT id FROM users WHERE username = '%s')`

func counting(rows, name string) string {
	return `SELECT CAST(COUNT(*) AS TEXT) FROM ` + fmt.Sprintf(rows, name)
}

func (l *lab) hasOtherPassword(name string) string {
	hash := l.database.value(l.t, `SELECT password_hash FROM users WHERE username = '`+name+`'`)
	return counting("users WHERE username = '%s'", name) + ` AND password_hash <> '` + hash + `'`
}

func (l *lab) newPasswordAlone(name string) {
	l.t.Helper()
	l.s.do(l.t, passwordGrant(name, nextHorse)).want(200)
	l.s.do(l.t, passwordGrant(name, horse)).want(400, "invalid_grant")
}

// outcomes are counted over all points of failure.
type outcomes struct {
	mu                     sync.Mutex
	points, served, undone int
	lost                   int           // answers of operations that were done
	slowest                time.Duration // answer
}

// try tries an operation whose connection fails at a frame.
func (l *lab) try(operation func(*lab, string) trial, name string, after int, how failure, cold bool, out *outcomes) {
	l.t.Helper()
	l.tried++
	tried := operation(l, name)
	if cold {
		l.network.reset()
	}
	l.network.failAt(after, how)
	begun := time.Now()
	a, err := l.s.try(tried.request)
	took := time.Since(begun)
	_, hit := l.network.heal()
	if err != nil {
		l.t.Fatal(err)
	}
	done := l.database.value(l.t, tried.done) == "1"
	what := fmt.Sprintf("frame %d %s: %d %s, and done is %v", after, how, a.status, a.body, done)
	switch {
	case a.status == tried.ok && !done:
		l.t.Errorf("%s: acknowledged, and lost", what)
	case a.status == 503 && a.header.Get("Retry-After") == "":
		l.t.Errorf("%s: without Retry-After", what)
	case a.status == 503 && done && hit != nil && hit.undone():
		l.t.Errorf("%s: no COMMIT was sent", what)
	case a.status != tried.ok && a.status != 503:
		l.t.Errorf("%s", what)
	}
	out.add(a.status == tried.ok, done, took)
	if recorded := l.database.value(l.t, counting("events WHERE kind = '"+string(tried.event)+"' AND username = '%s'", name)); tried.event != "" && (recorded == "1") != done {
		l.t.Errorf("%s, with %s events", what, recorded)
	}
	status := tried.ok
	if done {
		status = tried.again
	}
	if how == stalls { // for a second, no new connection is tried
		until(l.t, "the server works again", func() bool { return l.s.do(l.t, get("/readyz")).status == 200 })
	}
	if a = l.s.do(l.t, tried.request); a.status != status {
		l.t.Errorf("%s; again: %d %s", what, a.status, a.body)
	}
	tried.after()
}

func (o *outcomes) add(ok, done bool, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.points++
	o.slowest = max(o.slowest, took)
	switch {
	case ok:
		o.served++
	case done:
		o.lost++
	default:
		o.undone++
	}
}

// frames is how many frames an operation takes.
func (l *lab) frames(operation func(*lab, string) trial, name string, cold bool) int {
	l.t.Helper()
	l.tried++
	tried := operation(l, name)
	if cold {
		l.network.reset()
	}
	l.network.failAt(1<<30, resets)
	l.s.do(l.t, tried.request).want(tried.ok)
	n, _ := l.network.heal()
	return n
}

// The connection to PostgreSQL is cut before, and within, each message of an operation, in either direction: an answer is a success
// or 503, a success is in the database, no half of an operation is, the next request works, and the operation can be tried again.
func TestAConnectionThatIsCut(t *testing.T) {
	t.Parallel()
	out := &outcomes{}
	t.Run("operations", func(t *testing.T) {
		for name, operation := range operations {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				for _, cold := range []bool{false, true} {
					if cold && !thorough() && name != "registration" {
						break // the beginning of a connection is the same for all
					}
					l.cutEverywhere(operation, strings.ReplaceAll(name, " ", "-")+map[bool]string{true: "-cold"}[cold], cold, out)
				}
			})
		}
	})
	t.Logf("%d cuts: %d answers were successes; of those that were 503, %d operations were not done and %d were", out.points, out.served, out.undone, out.lost)
}

func (l *lab) cutEverywhere(operation func(*lab, string) trial, name string, cold bool, out *outcomes) {
	l.t.Helper()
	l.frames(operation, name+"-first", false) // prepares the statements
	for i, at := range points(l.frames(operation, name+"-measured", cold), cold) {
		how := []failure{resets, tears}[i%2]
		l.try(operation, fmt.Sprintf("%s-%d", name, at), at, how, cold, out)
		if thorough() && !cold {
			l.try(operation, fmt.Sprintf("%s-%d-too", name, at), at, []failure{tears, resets}[i%2], cold, out)
		}
	}
}

// points are the frames at which an operation of n frames is cut: all, or in the short form a few, and the last ones, among which
// is the COMMIT. Of those of a new connection, most belong to its beginning.
func points(n int, cold bool) (at []int) {
	every := map[bool]map[bool]int{false: {false: 20, true: 30}, true: {false: 1, true: 5}}[thorough()][cold]
	for i := range n + 2 {
		if i%every == 0 || !cold && i > n-4 {
			at = append(at, i)
		}
	}
	return at
}

// A request that only reads is answered although its connection is cut, at whatever message: what changes nothing is done again.
func TestReadsSurviveACut(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	tokens := l.s.newcomer(t, "ann")
	reading := func(*lab, string) trial { return trial{request: me(tokens.AccessToken), ok: 200} }
	cuts := 0
	for _, cold := range []bool{false, true} {
		l.frames(reading, "", cold)
		for at := range l.frames(reading, "", cold) {
			for _, how := range []failure{resets, tears} {
				if cold {
					l.network.reset()
				}
				l.network.failAt(at, how)
				a := l.s.do(t, me(tokens.AccessToken))
				if l.network.heal(); a.status != 200 {
					t.Errorf("frame %d, cold %v: %d %s", at, cold, a.status, a.body)
				}
				cuts++
			}
		}
	}
	t.Logf("%d cuts, and every answer was a success", cuts)
}

// The same behind a pooler, which answers with an error of its own when it loses the connection.
func TestReadsSurviveACutBehindAPooler(t *testing.T) {
	t.Parallel()
	through, network := relayed(t, emptyPostgresURL(t))
	s := start(t, pooled(t, through, "pool_mode = transaction"), idle+"=")
	tokens := s.newcomer(t, "ann")
	for at := range 4 { // of one connection; later frames may belong to the beginning of the next, which the pooler makes a second later
		s.do(t, me(tokens.AccessToken)).want(200)
		network.failAt(at, resets)
		a := s.do(t, me(tokens.AccessToken))
		if _, hit := network.heal(); a.status != 200 || hit == nil {
			t.Errorf("frame %d, hit %v: %d %s", at, hit != nil, a.status, a.body)
		}
	}
}
