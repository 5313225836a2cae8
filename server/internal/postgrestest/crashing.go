package postgrestest

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"testing"
)

// Crashing is a server that a test kills. Every commit of it is in the file of its log before it is acknowledged, as by default.
type Crashing struct {
	*shell
	port     int
	password string
}

// crashingScript is script for one server and the orders of Crashing. A server that was killed has processes that live a little longer:
// the next one must not start before they have ended. (Where nobody asks for the exit code of a process that was killed, as in a
// container, it stays in the list of processes.)
const crashingScript = `
set -e
PATH=$BIN:$PATH
dir=$(mktemp -d "$FOLDER/sesame-postgres-XXXXXX")
trap 'pg_ctl -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
trap exit HUP INT TERM
printf %s "$PASSWORD" >"$dir/password"
initdb --pgdata="$dir/data" --username=postgres --pwfile="$dir/password" --auth-local=trust --auth-host=scram-sha-256 \
	--encoding=UTF8 --no-locale --no-sync --wal-segsize=1 >&2
start() {
	pg_ctl -D "$dir/data" -l "$dir/log" -w -o "-k $dir -c listen_addresses=127.0.0.1 -p $PORT -c shared_buffers=16MB -c fsync=off -c min_wal_size=2MB -c max_wal_size=8MB" start >&2
}
alive() { kill -0 $1 2>/dev/null && ! grep -q ') Z ' /proc/$1/stat 2>/dev/null; }
sql() { psql -qXAt -h "$dir" -p $PORT -U postgres -c "$1"; }
start || { cat "$dir/log" >&2; exit 1; }
echo ready
while read -r order; do
	case $order in
	kill)
		first=$(head -1 "$dir/data/postmaster.pid") others=$(sql "SELECT pid FROM pg_stat_activity")
		kill -9 $first
		for pid in $first $others; do while alive $pid; do sleep 0.02; done; done
		rm -f "$dir/data/postmaster.pid" "$dir"/.s.PGSQL.*.lock ;;
	backend)
		before=$(sql "SELECT pg_postmaster_start_time(), pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
		kill -9 $(sql "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1")
		until now=$(sql "SELECT pg_postmaster_start_time(), pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'" 2>/dev/null) && [ "$now" != "$before" ]; do sleep 0.02; done ;;
	start) [ -f "$dir/data/postmaster.pid" ] && alive $(head -1 "$dir/data/postmaster.pid") || start || { tail -20 "$dir/log" >&2; exit 1; } ;;
	esac
	echo done
done
`

// StartCrashing starts a server in a folder, which ends with the test.
func StartCrashing(t testing.TB, folder string) *Crashing {
	t.Helper()
	Require(t)
	if os.Getenv(EnvURL) != "" {
		t.Skip("the test needs a server of its own")
	}
	bin, err := findPrograms()
	if err != nil {
		t.Fatal(err)
	}
	c := &Crashing{password: rand.Text()}
	if c.port, err = freePort(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.shell = startShell(t, crashingScript, bin, "PASSWORD="+c.password, fmt.Sprint("PORT=", c.port), "FOLDER="+folder)
	return c
}

// URL names the server.
func (c *Crashing) URL() string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", c.password), Path: "/postgres", RawQuery: "sslmode=disable",
		Host: fmt.Sprintf("127.0.0.1:%d", c.port),
	}).String()
}

// Kill kills the process that starts the others, which end when they notice.
func (c *Crashing) Kill() { c.t.Helper(); c.order("kill") }

// KillBackend kills the process of a connection. PostgreSQL then ends all others, and recovers as after a crash: it returns when that
// is done.
func (c *Crashing) KillBackend() { c.t.Helper(); c.order("backend") }

// Start starts the server after Kill, or after it has ended by itself, and returns when it answers.
func (c *Crashing) Start() { c.t.Helper(); c.order("start") }
