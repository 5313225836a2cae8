package apitest

import (
	"os"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/postgrestest"
)

// R2: a refresh that PostgreSQL has committed, and no standby has confirmed, is answered with 503, and so is a retry. The client
// can retry when the database works again, even if that takes longer than the grace period, which then goes on where it was.
func TestARefreshThatNoStandbyConfirms(t *testing.T) {
	t.Parallel()
	postgrestest.Require(t)
	if os.Getenv(postgrestest.EnvURL) != "" {
		t.Skip("the setting is that of the whole server, and this one is not ours")
	}
	own, err := postgrestest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	databaseURL, err := own.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, databaseURL)
	defer s.stop()
	admin, _ := adminOf(t, databaseURL)
	waitsFor := func(standby string) {
		t.Helper()
		for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names = '` + standby + `'`, `SELECT pg_reload_conf()`} {
			if err := rawSQL(t.Context(), admin, statement, nil); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "PostgreSQL has the setting", func() bool {
			var set string
			return rawSQL(t.Context(), admin, `SHOW synchronous_standby_names`, &set) == nil && set == standby
		})
	}
	s.clock.stop()
	lost, other := s.newcomer(t, "ann"), s.newcomer(t, "bob")
	used := decode[api.Token](s.do(t, refreshGrant(other.RefreshToken)).want(200))
	s.clock.advance(11 * time.Second) // the grace period of the other token
	waitsFor("lost")
	s.do(t, refreshGrant(lost.RefreshToken)).want(503)
	until(t, "the refresh is committed", func() bool {
		return s.value(t, `SELECT COUNT(*)::text FROM sessions WHERE generation = 1`) == "2"
	})
	s.do(t, refreshGrant(lost.RefreshToken)).want(503) // or the client would get a token of a commit that a failover could still lose
	s.clock.advance(25 * time.Second)
	s.do(t, get("/readyz")).want(503)
	waitsFor("")
	s.clock.advance(9 * time.Second)
	next := decode[api.Token](s.do(t, refreshGrant(lost.RefreshToken)).want(200))
	s.do(t, me(next.AccessToken)).want(200)
	s.do(t, refreshGrant(other.RefreshToken)).want(400, "invalid_grant") // its grace period had ended before
	s.do(t, me(used.AccessToken)).want(401, "invalid_token")
	s.clock.advance(2 * time.Second)
	s.do(t, refreshGrant(lost.RefreshToken)).want(400, "invalid_grant")
	s.do(t, me(next.AccessToken)).want(401, "invalid_token")
}
