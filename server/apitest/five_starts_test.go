package apitest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
)

// Five servers that start at once on an empty database, or on a file that does not exist, wait for each other: one of them migrates,
// one key signs, and each accepts the tokens of all.
func TestFiveStartsOnAnEmptyDatabase(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	for engine, databaseURL := range emptyEngines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			for range max(1, killRounds()/10) {
				startFive(t, databaseURL(t))
			}
		})
	}
}

func startFive(t *testing.T, databaseURL string) {
	t.Helper()
	begun := time.Now()
	servers := make([]*server, 5)
	var starting sync.WaitGroup
	for i := range servers {
		starting.Go(func() {
			servers[i] = spawn(t, databaseURL, "SESAME_PUBLIC_URL=http://localhost:8080", "SESAME_DRAIN_TIME=0s")
		}) // a failure ends only this goroutine
	}
	starting.Wait()
	if slices.Contains(servers, nil) {
		t.FailNow()
	}
	t.Logf("five servers started after %v", time.Since(begun).Round(time.Millisecond))
	for i, s := range servers {
		name := fmt.Sprint("ann", i)
		s.register(t, name)
		tokens := decode[api.Token](servers[(i+1)%5].do(t, passwordGrant(name, horse)).want(200))
		for _, other := range servers {
			other.do(t, me(tokens.AccessToken)).want(200)
		}
	}
	if n := servers[0].value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM signing_keys`); n != "1" {
		t.Errorf("there are %s signing keys", n)
	}
	if n := servers[0].value(t, `SELECT CAST(COUNT(*) - COUNT(DISTINCT version_id) AS TEXT) FROM goose_db_version`); n != "0" {
		t.Errorf("%s migrations were recorded twice", n)
	}
	for _, s := range servers {
		if code := s.stop(); code != 0 {
			t.Errorf("a server ended with code %d\n%s", code, s.log)
		}
	}
}
