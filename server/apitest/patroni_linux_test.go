package apitest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/postgrestest"
)

// patroni is the environment variable that makes TestPatroni run: 1 in a minute, all with further faults.
const patroni = "SESAME_TEST_PATRONI"

// steadyClient is a person who registers others, logs in and refreshes sessions all the time.
type steadyClient struct {
	number       int
	side         *side
	acknowledged []string
	sessions     []api.Token // with their last acknowledged refresh tokens
	waits        bool        // since the last registration was answered with 503
	wrote        atomic.Int64
}

// side is a server whose database URL is of one kind, and what its clients have seen.
type side struct {
	*server
	kind    string
	clients []*steadyClient

	mu      sync.Mutex
	refused int
	works   time.Time // the last time that a client wrote for the first time after a 503
}

// ask sends a request and reports whether it was acknowledged. Every other answer must be 503.
func (c *steadyClient) ask(t *testing.T, r request, status int) (*answer, bool) {
	a, err := c.side.try(r)
	if err != nil || a.status != status && (a.status != 503 || a.header.Get("Retry-After") == "") {
		t.Errorf("%s: %s %s: %+v %v", c.side.kind, r.method, r.path, a, err)
		return nil, false
	}
	if a.status == 503 {
		c.side.mu.Lock()
		defer c.side.mu.Unlock()
		c.side.refused++
		return nil, false
	}
	a.t = t
	return a, true
}

// register registers a person, and notes when that works again.
func (c *steadyClient) register(t *testing.T, name string) bool {
	_, ok := c.ask(t, request{method: "POST", path: "/users", json: map[string]string{"username": name, "password": horse}}, 201)
	if ok {
		c.acknowledged = append(c.acknowledged, name)
		c.wrote.Add(1)
		if c.waits {
			c.side.mu.Lock()
			c.side.works = time.Now()
			c.side.mu.Unlock()
		}
	}
	c.waits = !ok
	return ok
}

// work writes until done. After a 503 it waits a little, as a client would, and repeats a refresh until it is answered.
func (c *steadyClient) work(t *testing.T, done *atomic.Bool) {
	at, answered := 0, false // the session to refresh, and whether its refresh was answered
	for n := 0; !t.Failed() && (!done.Load() || !answered); n++ {
		name := fmt.Sprintf("guest%d-%d", c.number, n)
		if !c.register(t, name) {
			time.Sleep(50 * time.Millisecond)
		} else if a, ok := c.ask(t, passwordGrant(name, horse), 200); ok && n%5 == 0 {
			c.sessions = append(c.sessions, decode[api.Token](a))
		}
		c.ask(t, me(c.sessions[at].AccessToken), 200)
		a, ok := c.ask(t, refreshGrant(c.sessions[at].RefreshToken), 200)
		if answered = ok; ok {
			c.sessions[at] = decode[api.Token](a)
			at = (at + 1) % len(c.sessions)
		}
	}
}

// underPatroni is a cluster with a server of each side, whose clients work.
type underPatroni struct {
	t       *testing.T
	cluster *postgrestest.Cluster
	sides   []*side
}

// until waits for a change of the cluster.
func (u *underPatroni) until(what string, happened func() bool) {
	u.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !happened(); time.Sleep(100 * time.Millisecond) {
		if u.t.Failed() || time.Now().After(deadline) {
			u.t.Fatalf("waited in vain until %s: %v", what, u.cluster.Roles(u.t.Context()))
		}
	}
}

// find returns the machine with a role, leader or sync_standby, or 0.
func find(roles map[int]string, role string) (machine int) {
	for n, has := range roles {
		if has == role {
			machine = n
		}
	}
	return machine
}

// untilWhole waits until all machines run, and returns the primary and the synchronous standby.
func (u *underPatroni) untilWhole() (primary, standby int) {
	u.t.Helper()
	u.until("all machines run", func() bool {
		roles := u.cluster.Roles(u.t.Context())
		primary, standby = find(roles, "leader"), find(roles, "sync_standby")
		return len(roles) == 3 && primary > 0 && standby > 0
	})
	return primary, standby
}

// untilReady waits until /readyz of every server is 503 and then 200.
func (u *underPatroni) untilReady() {
	u.t.Helper()
	for _, status := range []int{503, 200} {
		for _, s := range u.sides {
			u.until(fmt.Sprint("/readyz is ", status), func() bool { return s.do(u.t, get("/readyz")).status == status })
		}
	}
}

// when does something to the cluster, waits until all clients work, and logs for how long they were refused.
func (u *underPatroni) when(what string, do func()) {
	u.t.Helper()
	for _, s := range u.sides {
		s.mu.Lock()
		s.refused, s.works = 0, time.Time{}
		s.mu.Unlock()
	}
	begun := time.Now()
	do()
	for _, s := range u.sides {
		for _, c := range s.clients {
			before := c.wrote.Load()
			u.until("every client works", func() bool { return c.wrote.Load() > before+3 })
		}
		s.mu.Lock()
		took := time.Duration(0)
		if !s.works.IsZero() {
			took = s.works.Sub(begun).Round(100 * time.Millisecond)
		}
		u.t.Logf("%s: %s: %d answers were 503; every client wrote again after %v", what, s.kind, s.refused, took)
		s.mu.Unlock()
	}
}

// N19: when the machine of the primary dies under load, and Patroni makes its synchronous standby the primary, every acknowledged
// write is there, no valid refresh token is refused, every other answer is 503, and the servers work again without a restart:
// through HAProxy, and with a URL that names all machines. The machine comes back as a standby. A planned switchover is the same.
func TestPatroni(t *testing.T) {
	level := os.Getenv(patroni)
	if level == "" {
		t.Skip(patroni + " is not set")
	}
	u := &underPatroni{t: t, cluster: postgrestest.StartCluster(t, deployment+"patroni")}
	t.Cleanup(u.explain)
	primary, _ := u.untilWhole()
	u.until("there is a database", func() bool { return u.cluster.CreateDatabase(t.Context()) == nil })
	var done atomic.Bool
	var wait sync.WaitGroup
	defer wait.Wait()
	defer done.Store(true)
	for i, documented := range []string{
		"postgres://sesame:PASSWORD@127.0.0.1:5000/sesame",
		"postgres://sesame:PASSWORD@192.0.2.11:5432,192.0.2.12:5432,192.0.2.13:5432/sesame",
	} {
		s := &side{server: start(t, u.cluster.URL(documented)), kind: []string{"HAProxy", "a URL of all machines"}[i]}
		u.sides = append(u.sides, s)
		for n := range 3 {
			c := &steadyClient{number: 10*i + n, side: s}
			c.sessions = append(c.sessions, s.newcomer(t, fmt.Sprint("ann", c.number)))
			s.clients = append(s.clients, c)
			wait.Go(func() { c.work(t, &done) })
		}
	}
	u.when("all machines run", func() {})
	u.when("the primary is killed", func() { u.cluster.Kill(primary); u.untilReady() })
	before := primary
	u.when("its machine comes back", func() { u.cluster.Start(primary); primary, _ = u.untilWhole() })
	if primary == before {
		t.Errorf("machine %d, which was killed, is the primary again", primary)
	}
	u.when("a switchover", func() {
		u.cluster.Switchover(primary)
		u.until("another machine is the primary", func() bool {
			now := find(u.cluster.Roles(t.Context()), "leader")
			return now > 0 && now != primary
		})
	})
	if level == "all" {
		u.otherFaults()
	}
	done.Store(true)
	wait.Wait()
	u.judge()
}

// otherFaults are a standby that dies, and a primary that hangs for longer than its lock lasts.
func (u *underPatroni) otherFaults() {
	_, standby := u.untilWhole()
	u.when("the synchronous standby is killed", func() { u.cluster.Kill(standby) })
	primary := 0
	u.when("its machine comes back", func() { u.cluster.Start(standby); primary, _ = u.untilWhole() })
	u.when("the primary hangs", func() { u.cluster.Freeze(primary); u.untilReady() })
	u.when("it works again, as a standby", func() { u.cluster.Thaw(primary); u.untilWhole() })
}

// explain prints why the servers have refused tokens, if the test has failed. The servers have ended, and so their logs are whole.
func (u *underPatroni) explain() {
	for _, s := range u.sides {
		for line := range strings.Lines(s.log.String()) {
			if u.t.Failed() && strings.Contains(line, "invalid_grant") {
				u.t.Log(s.kind, line)
			}
		}
	}
}

// judge looks for every acknowledged account and uses every refresh token, at the other server than the one that has issued it.
func (u *underPatroni) judge() {
	u.t.Helper()
	listed := u.sides[0].must(u.t, "", "user", "list", "--json")
	accounts, tokens := 0, 0
	for i, s := range u.sides {
		other := u.sides[(i+1)%len(u.sides)]
		for _, c := range s.clients {
			for _, name := range c.acknowledged {
				if accounts++; !strings.Contains(listed, strconv.Quote(name)) {
					u.t.Errorf("%s was acknowledged, and is lost", name)
				}
			}
			for _, session := range c.sessions {
				tokens++
				other.do(u.t, refreshGrant(session.RefreshToken)).want(200)
			}
		}
	}
	u.t.Logf("%d acknowledged accounts, %d sessions", accounts, tokens)
}
