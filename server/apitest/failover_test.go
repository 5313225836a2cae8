package apitest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/postgrestest"
)

// N19: when the primary dies and its standby takes over, every acknowledged write is there, a refresh token that was valid is
// not refused, every other answer is 503, and the server works again without a restart.
func TestAFailover(t *testing.T) {
	t.Parallel()
	pair := postgrestest.StartPair(t)
	s := start(t, pair.URL())
	const people = 4
	tokens := make([]api.Token, people)
	for i := range tokens {
		tokens[i] = s.newcomer(t, fmt.Sprint("ann", i))
	}
	var ended, refused atomic.Int64
	failed := make(chan struct{})
	var mu sync.Mutex
	var acknowledged []string
	acknowledge := func(name string) int {
		mu.Lock()
		defer mu.Unlock()
		if name != "" {
			acknowledged = append(acknowledged, name)
		}
		return len(acknowledged)
	}
	var wait sync.WaitGroup
	for i := range people {
		wait.Go(func() {
			for n := 0; ; n++ {
				after := false
				select {
				case <-failed:
					after = true
				default:
				}
				name := fmt.Sprintf("guest%d-%d", i, n)
				a, err := s.try(request{method: "POST", path: "/users", json: map[string]string{"username": name, "password": horse}})
				switch {
				case err != nil || a.status != 201 && a.status != 503:
					t.Errorf("a registration: %+v %v", a, err)
					return
				case a.status == 503: // it may have been done
					refused.Add(1)
				default:
					acknowledge(name)
				}
				b, err := s.try(refreshGrant(tokens[i].RefreshToken))
				switch {
				case err != nil || b.status != 200 && b.status != 503:
					t.Errorf("a refresh: %+v %v", b, err)
					return
				case b.status == 200:
					b.t = t
					tokens[i] = decode[api.Token](b)
				}
				if after && a.status == 201 && b.status == 200 {
					ended.Add(1)
					return
				}
			}
		})
	}
	until(t, "many writes are acknowledged", func() bool { return acknowledge("") > 50 })
	pair.Fail()
	close(failed)
	wait.Wait()
	if ended.Load() != people {
		t.Fatalf("%d of %d work again", ended.Load(), people)
	}
	stdout, stderr, code := s.sesame(t, "", "user", "list", "--json")
	if code != 0 {
		t.Fatal(stderr)
	}
	for _, name := range acknowledged {
		if !strings.Contains(stdout, strconv.Quote(name)) {
			t.Errorf("%s was acknowledged, and is lost", name)
		}
	}
	for _, each := range tokens {
		s.do(t, me(each.AccessToken)).want(200)
	}
	s.do(t, get("/readyz")).want(200)
	t.Logf("%d registrations acknowledged, %d answered with 503", len(acknowledged), refused.Load())
}
