package postgrestest

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"testing"
)

// Pair is a primary with a standby that confirms every commit.
type Pair struct {
	*shell
	ports    [2]int
	password string
}

// pairScript is script for a pair. The order fail kills the primary and makes the standby one.
const pairScript = `
set -e
PATH=$BIN:$PATH
parent=/tmp
if [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 4000000 ] 2>/dev/null; then parent=/dev/shm; fi
dir=$(mktemp -d "$parent/sesame-postgres-XXXXXX")
trap 'for d in a b; do pg_ctl -D "$dir/$d" -m immediate stop >/dev/null 2>&1 || true; done; rm -rf "$dir"' EXIT
trap exit HUP INT TERM
printf %s "$PASSWORD" >"$dir/password"
initdb --pgdata="$dir/a" --username=postgres --pwfile="$dir/password" --auth-local=trust --auth-host=scram-sha-256 \
	--encoding=UTF8 --no-locale --no-sync >&2
echo 'host replication postgres 127.0.0.1/32 scram-sha-256' >>"$dir/a/pg_hba.conf"
common="-k $dir -c listen_addresses=127.0.0.1 -c max_connections=100 -c shared_buffers=32MB -c fsync=off"
pg_ctl -D "$dir/a" -l "$dir/a.log" -w -o "$common -p $PORT_A" start >&2 || { cat "$dir/a.log" >&2; exit 1; }
PGPASSWORD=$PASSWORD pg_basebackup -h 127.0.0.1 -p $PORT_A -U postgres -D "$dir/b" -R -X stream -c fast >&2
pg_ctl -D "$dir/b" -l "$dir/b.log" -w -o "$common -p $PORT_B" start >&2 || { cat "$dir/b.log" >&2; exit 1; }
psql -qX -h "$dir" -p $PORT_A -U postgres -c "ALTER SYSTEM SET synchronous_standby_names = '*'" -c 'SELECT pg_reload_conf()' >&2
until [ "$(psql -qXAt -h "$dir" -p $PORT_A -U postgres -c "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")" = 1 ]; do sleep 0.05; done
echo ready
while read -r order; do
	case $order in
	fail)
		kill -9 $(head -1 "$dir/a/postmaster.pid")
		psql -qX -h "$dir" -p $PORT_B -U postgres -c "ALTER SYSTEM SET synchronous_standby_names = ''" >&2
		pg_ctl -D "$dir/b" -w promote >&2 ;;
	esac
	echo done
done
`

// StartPair starts a pair, which ends with the test.
func StartPair(t testing.TB) *Pair {
	t.Helper()
	Require(t)
	if os.Getenv(EnvURL) != "" {
		t.Skip("the test needs servers of its own")
	}
	bin, err := findPrograms()
	if err != nil {
		t.Fatal(err)
	}
	p := &Pair{password: rand.Text()}
	for i := range p.ports {
		if p.ports[i], err = freePort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.shell = startShell(t, pairScript, bin, "PASSWORD="+p.password, fmt.Sprint("PORT_A=", p.ports[0]), fmt.Sprint("PORT_B=", p.ports[1]))
	return p
}

// URL names both servers, as an operator writes it.
func (p *Pair) URL() string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", p.password), Path: "/postgres", RawQuery: "sslmode=disable",
		Host: fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", p.ports[0], p.ports[1]),
	}).String()
}

// Fail kills the primary, and makes the standby one.
func (p *Pair) Fail() {
	p.t.Helper()
	p.order("fail")
}
