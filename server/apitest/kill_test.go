package apitest

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
)

// kills is the environment variable with the number of times that servers and databases are killed. Where it is set, all faults are
// tried in their long form.
const kills = "SESAME_TEST_KILLS"

// killRounds is 0 where it is not set.
func killRounds() int {
	rounds, _ := strconv.Atoi(os.Getenv(kills))
	return rounds
}

// doomed is a process of the server that is killed and not stopped.
func doomed(t *testing.T, databaseURL string, settings ...string) (s *server, kill func()) {
	t.Helper()
	s = &server{t: t, dbURL: databaseURL, clock: &clock{}, log: &lockedBuffer{}, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute,
	}}
	c, output := process(t, databaseURL, "serve"), newLines()
	c.Env = append(c.Env, settings...)
	c.Stdout, c.Stderr = output, s.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		output.Close()
		close(ended)
	}()
	kill = func() {
		_ = c.Process.Kill()
		<-ended
		s.client.CloseIdleConnections()
	}
	t.Cleanup(kill)
	if s.url = output.find(readyLine); s.url == "" {
		t.Fatalf("the server did not start\n%s", s.log)
	}
	return s, kill
}

// survivor is a person who registers others and refreshes a session until the server is killed, again and again.
type survivor struct {
	number       int
	tokens       api.Token
	acknowledged []string // usernames
	unknown      int      // requests that were not answered
}

// work writes until a request is not answered. After a kill the refresh token may have been used: within the grace period
// the same one returns the same successor.
func (v *survivor) work(t *testing.T, s *server, reached func()) {
	for n := 0; ; n++ {
		name := fmt.Sprintf("guest%d-%d", v.number, len(v.acknowledged)+v.unknown)
		a, err := s.try(request{method: "POST", path: "/users", json: map[string]string{"username": name, "password": horse}})
		if err != nil {
			v.unknown++
			return
		}
		if a.status != 201 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			return
		}
		v.acknowledged = append(v.acknowledged, name)
		if a, err = s.try(refreshGrant(v.tokens.RefreshToken)); err != nil {
			return
		}
		if a.status != 200 {
			t.Errorf("a refresh: %d %s", a.status, a.body)
			return
		}
		a.t = t
		v.tokens = decode[api.Token](a)
		if n == 3 {
			reached()
		}
	}
}

// A2: a server that is killed under writers loses no acknowledged account, refuses no valid refresh token, and starts again on
// what it has left, however often.
func TestAKilledServerLosesNothing(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	rounds := max(3, killRounds())
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			url := databaseURL(t)
			s, kill := doomed(t, url)
			people := make([]*survivor, 4)
			for i := range people {
				people[i] = &survivor{number: i, tokens: s.newcomer(t, fmt.Sprint("ann", i))}
			}
			var slowest time.Duration
			for range rounds {
				var wait sync.WaitGroup
				busy := make(chan struct{}, len(people))
				for _, v := range people {
					wait.Go(func() { v.work(t, s, func() { busy <- struct{}{} }) })
				}
				select {
				case <-busy: // in the middle of the others' writes
				case <-time.After(time.Minute):
					t.Fatal("nobody writes")
				}
				kill()
				wait.Wait()
				begun := time.Now()
				s, kill = doomed(t, url)
				slowest = max(slowest, time.Since(begun))
			}
			stdout, stderr, code := s.sesame(t, "", "user", "list", "--json")
			if code != 0 {
				t.Fatal(stderr)
			}
			acknowledged := 0
			for _, v := range people {
				for _, name := range v.acknowledged {
					if acknowledged++; !strings.Contains(stdout, strconv.Quote(name)) {
						t.Errorf("%s was acknowledged, and is lost", name)
					}
				}
				s.do(t, refreshGrant(v.tokens.RefreshToken)).want(200)
			}
			t.Logf("%d kills, %d acknowledged accounts, slowest start %v", rounds, acknowledged, slowest)
		})
	}
}
