package apitest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sesame/gen/api"
)

// haproxy balances requests between servers, as the guide to PostgreSQL says: it checks /readyz five times a second.
func haproxy(t *testing.T, servers ...string) (url string) {
	t.Helper()
	program, own := proxy{program: "haproxy"}.path(t), freePorts(t, 1)[0]
	config := "defaults\n  mode http\n  timeout connect 1s\n  timeout check 5s\n  timeout client 30s\n  timeout server 30s\n" +
		"frontend all\n  bind " + own + "\n  default_backend sesame\n" +
		"backend sesame\n  option httpchk GET /readyz\n  default-server inter 200ms fall 1 rise 1\n  http-response set-header X-Replica %s\n"
	for i, address := range servers {
		config += fmt.Sprintf("  server s%d %s check\n", i, address)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-db", "-q", "-f", file)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	return "http://" + own
}

// A6: replicas behind a load balancer restart one after the other, and no client sees an error.
func TestRollingRestarts(t *testing.T) {
	t.Parallel()
	databaseURL := postgresURL(t)
	addresses := freePorts(t, 2)
	run := func(i int) *server {
		return start(t, databaseURL, "SESAME_LISTEN="+addresses[i], "SESAME_PUBLIC_URL=https://login.example.com", "SESAME_DRAIN_TIME=1s")
	}
	replicas := []*server{run(0), run(1)}
	balanced := &server{t: t, client: replicas[0].client, url: haproxy(t, addresses...)}
	until(t, "the balancer knows a replica", func() bool {
		a, err := balanced.try(get("/healthz"))
		return err == nil && a.status == 200
	})
	balanced.register(t, "ann")
	var done atomic.Bool
	var answered atomic.Int64
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			tokens := api.Token{}
			for !done.Load() {
				requests := []request{passwordGrant("ann", horse)}
				if tokens.AccessToken != "" {
					requests = []request{me(tokens.AccessToken), patch(tokens.AccessToken, `{"full_name":"Ann"}`), refreshGrant(tokens.RefreshToken)}
				}
				for _, r := range requests {
					a, err := balanced.try(r)
					if err != nil || a.status != 200 {
						t.Errorf("%s %s: %+v %v", r.method, r.path, a, err)
						return
					}
					answered.Add(1)
					if strings.HasPrefix(r.path, "/token") {
						a.t = t
						tokens = decode[api.Token](a)
					}
				}
			}
		})
	}
	for round := range 2 {
		i := round % 2
		before := answered.Load()
		replicas[i].stop()
		replicas[i] = run(i)
		until(t, "requests are answered", func() bool { return answered.Load() > before+20 })
		until(t, "the balancer uses the new replica", func() bool {
			a, err := balanced.try(get("/healthz"))
			return err == nil && a.status == 200 && a.header.Get("X-Replica") == fmt.Sprint("s", i)
		})
	}
	done.Store(true)
	wait.Wait()
	t.Logf("%d requests", answered.Load())
}
