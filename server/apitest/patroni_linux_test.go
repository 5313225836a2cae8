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

// patroni is the environment variable that, with the value 1, makes TestPatroni run, which takes a minute.
const patroni = "SESAME_TEST_PATRONI"

// steadyClient is a person who registers others, logs in and refreshes sessions all the time.
type steadyClient struct {
	number       int
	side         *side
	acknowledged []string
	sessions     []api.Token // with their last acknowledged refresh tokens
	wrote        atomic.Int64
}

// side is a server whose database URL is of one kind, and what its clients have seen.
type side struct {
	*server
	kind    string
	clients []*steadyClient

	mu      sync.Mutex
	refused int
	last    time.Time // answer of 503
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
		c.side.refused, c.side.last = c.side.refused+1, time.Now()
		return nil, false
	}
	a.t = t
	return a, true
}

// work writes until done. After a refusal it waits a little, as a client would.
func (c *steadyClient) work(t *testing.T, done *atomic.Bool) {
	for n := 0; !done.Load() && !t.Failed(); n++ {
		name := fmt.Sprintf("guest%d-%d", c.number, n)
		if _, ok := c.ask(t, request{method: "POST", path: "/users", json: map[string]string{"username": name, "password": horse}}, 201); ok {
			c.acknowledged = append(c.acknowledged, name)
			c.wrote.Add(1)
			if a, ok := c.ask(t, passwordGrant(name, horse), 200); ok && n%5 == 0 {
				c.sessions = append(c.sessions, decode[api.Token](a))
			}
		} else {
			time.Sleep(50 * time.Millisecond)
		}
		at := n % len(c.sessions)
		c.ask(t, me(c.sessions[at].AccessToken), 200)
		if a, ok := c.ask(t, refreshGrant(c.sessions[at].RefreshToken), 200); ok {
			c.sessions[at] = decode[api.Token](a)
		}
	}
}

// patience bounds the wait for a change of the cluster.
const patience = 90 * time.Second

func untilPatiently(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(100 * time.Millisecond) {
		if t.Failed() || time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// whole reports whether all machines run, one of them as a synchronous standby, and returns the primary.
func whole(roles map[int]string) (primary int, ok bool) {
	sync := false
	for n, role := range roles {
		switch role {
		case "leader":
			primary = n
		case "sync_standby":
			sync = true
		}
	}
	return primary, len(roles) == 3 && primary > 0 && sync
}

// during does something to the cluster, waits until all clients work again, and logs for how long they were refused.
func during(t *testing.T, sides []*side, what string, do func()) {
	t.Helper()
	for _, s := range sides {
		s.mu.Lock()
		s.refused, s.last = 0, time.Time{}
		s.mu.Unlock()
	}
	begun := time.Now()
	do()
	for _, s := range sides {
		for _, c := range s.clients {
			before := c.wrote.Load()
			untilPatiently(t, "every client works", func() bool { return c.wrote.Load() > before+3 })
		}
		s.mu.Lock()
		outage := time.Duration(0)
		if !s.last.IsZero() {
			outage = s.last.Sub(begun)
		}
		t.Logf("%s: %s: %d answers were 503, the last after %v", what, s.kind, s.refused, outage.Round(100*time.Millisecond))
		s.mu.Unlock()
	}
}

// N19: when the machine of the primary dies under load, and Patroni makes its synchronous standby the primary, every acknowledged
// write is there, no valid refresh token is refused, every other answer is 503, and the servers work again without a restart:
// through HAProxy, and with a URL that names all machines. The machine comes back as a standby. A planned switchover is the same.
func TestPatroni(t *testing.T) {
	if os.Getenv(patroni) != "1" {
		t.Skip(patroni + " is not 1")
	}
	cluster := postgrestest.StartCluster(t, deployment+"patroni")
	primary := 0
	isWhole := func() (ok bool) { primary, ok = whole(cluster.Roles(t.Context())); return ok }
	untilPatiently(t, "the cluster is whole", isWhole)
	untilPatiently(t, "there is a database", func() bool { return cluster.CreateDatabase(t.Context()) == nil })

	var sides []*side
	var done atomic.Bool
	var wait sync.WaitGroup
	defer wait.Wait()
	defer done.Store(true)
	for i, documented := range []string{
		"postgres://sesame:PASSWORD@127.0.0.1:5000/sesame",
		"postgres://sesame:PASSWORD@192.0.2.11:5432,192.0.2.12:5432,192.0.2.13:5432/sesame",
	} {
		s := &side{server: start(t, cluster.URL(documented)), kind: []string{"HAProxy", "a URL of all machines"}[i]}
		for n := range 3 {
			c := &steadyClient{number: 10*i + n, side: s}
			c.sessions = append(c.sessions, s.newcomer(t, fmt.Sprint("ann", c.number)))
			s.clients = append(s.clients, c)
			wait.Go(func() { c.work(t, &done) })
		}
		sides = append(sides, s)
	}
	during(t, sides, "before", func() {})
	died := primary
	during(t, sides, "the primary is killed", func() {
		cluster.Kill(died)
		for _, status := range []int{503, 200} {
			for _, s := range sides {
				untilPatiently(t, fmt.Sprint("/readyz is ", status), func() bool { return s.do(t, get("/readyz")).status == status })
			}
		}
	})
	during(t, sides, "the machine comes back", func() {
		cluster.Start(died)
		untilPatiently(t, "the cluster is whole", isWhole)
	})
	if primary == died {
		t.Errorf("machine %d is the primary again", died)
	}
	during(t, sides, "a switchover", func() {
		before := primary
		cluster.Switchover(before)
		untilPatiently(t, "another machine is the primary, and the cluster is whole", func() bool { return isWhole() && primary != before })
	})
	done.Store(true)
	wait.Wait()
	judge(t, sides)
}

// judge looks for every acknowledged account and uses every refresh token, at the other server than the one that has issued it.
func judge(t *testing.T, sides []*side) {
	t.Helper()
	listed := sides[0].must(t, "", "user", "list", "--json")
	accounts, tokens := 0, 0
	for i, s := range sides {
		other := sides[(i+1)%len(sides)]
		for _, c := range s.clients {
			for _, name := range c.acknowledged {
				if accounts++; !strings.Contains(listed, strconv.Quote(name)) {
					t.Errorf("%s was acknowledged, and is lost", name)
				}
			}
			for _, session := range c.sessions {
				tokens++
				other.do(t, refreshGrant(session.RefreshToken)).want(200)
			}
		}
	}
	t.Logf("%d acknowledged accounts, %d sessions", accounts, tokens)
}

