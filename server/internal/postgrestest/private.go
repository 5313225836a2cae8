package postgrestest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Option changes how a private server runs. It has no effect on one that EnvURL names.
type Option func(*settings)

type settings struct {
	arguments string // of postgres
	fast      bool
	port      int // on 127.0.0.1; 0 for a Unix socket alone
}

// Fast gives up all safety against power cuts, for tests. Benchmarks keep PostgreSQL's defaults.
func Fast(s *settings) {
	s.fast = true
	s.arguments += " -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c wal_level=minimal -c max_wal_senders=0 -c autovacuum=off"
}

// OverTCP puts 127.0.0.1 into the URLs in place of a Unix socket, as most deployments connect.
func OverTCP(s *settings) { s.port = -1 }

// script runs a server in a directory of its own and prints that directory once the server answers. It stops the
// server and removes the directory when standard input ends, which happens however the process ends that started it.
//
// The socket is in a directory that only its owner can enter, so it needs no password. Every user of the machine can
// reach 127.0.0.1, so a password is needed there.
const script = `
set -e
PATH=$BIN:$PATH
parent=/tmp
if [ -n "$FAST" ] && [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 4000000 ] 2>/dev/null; then
	parent=/dev/shm # a database is 300 files
fi
dir=$(mktemp -d "$parent/sesame-postgres-XXXXXX")
trap 'pg_ctl -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
trap exit HUP INT TERM
printf %s "$PASSWORD" >"$dir/password"
initdb --pgdata="$dir/data" --username=postgres --pwfile="$dir/password" --auth-local=trust --auth-host=scram-sha-256 \
	--encoding=UTF8 --no-locale --no-sync >&2
pg_ctl -D "$dir/data" -l "$dir/log" -w -o "-k $dir $ARGUMENTS" start >&2 || { cat "$dir/log" >&2; exit 1; }
echo "$dir"
read -r _ || true
`

// startPrivate runs the script, and returns the URL of the server's administrator and a function that ends it.
func startPrivate(ctx context.Context, options []Option) (_ *url.URL, stop func() error, err error) {
	set := settings{arguments: "-c max_connections=200 -c shared_buffers=32MB"}
	for _, option := range options {
		option(&set)
	}
	set.arguments += " " + os.Getenv(EnvArguments)
	bin, err := findPrograms()
	if err != nil {
		return nil, nil, err
	}
	address := ""
	if set.port != 0 {
		address = "127.0.0.1"
		if set.port, err = freePort(ctx); err != nil {
			return nil, nil, err
		}
		set.arguments += " -p " + strconv.Itoa(set.port)
	}
	set.arguments += " -c listen_addresses='" + address + "'"
	password := rand.Text()

	cmd := exec.Command("sh", "-c", script)
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		cmd = exec.Command("su", "-s", "/bin/sh", "postgres", "-c", script)
	}
	// Not our environment: PGDATA, PGPORT and others would change what it does.
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "BIN=" + bin, "PASSWORD=" + password, "ARGUMENTS=" + set.arguments}
	if set.fast {
		cmd.Env = append(cmd.Env, "FAST=1")
	}
	cmd.Dir = "/tmp" // which the user postgres can enter
	var messages bytes.Buffer
	cmd.Stderr = &messages
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err = errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	stop = sync.OnceValue(func() error { stdin.Close(); return cmd.Wait() })
	dir, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, nil, fmt.Errorf("start PostgreSQL: %w\n%s", errors.Join(err, stop()), messages.String())
	}
	go io.Copy(io.Discard, stdout)
	return adminURL(strings.TrimSpace(dir), password, set.port), stop, nil
}

// adminURL spells everything out, because pgx takes what is missing from PGHOST, PGUSER and others.
func adminURL(dir, password string, port int) *url.URL {
	u := &url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Path: "/postgres"}
	query := url.Values{"sslmode": {"disable"}}
	if port != 0 {
		u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	} else {
		query.Set("host", dir)
		query.Set("port", "5432")
	}
	u.RawQuery = query.Encode()
	return u
}

// freePort asks the kernel for a port. Another program may take it before PostgreSQL does; that is rare, and
// PostgreSQL then says so.
func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// findPrograms returns the directory of initdb and pg_ctl: that of PATH, or else the newest that Debian's packages have
// installed, which are not in PATH.
func findPrograms() (string, error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if initdb, err := exec.LookPath("initdb"); err == nil {
		candidates = []string{initdb}
	}
	best, newest := "", -1
	for _, initdb := range candidates {
		dir := filepath.Dir(initdb)
		version, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if _, err := os.Stat(filepath.Join(dir, "pg_ctl")); err == nil && version > newest {
			best, newest = dir, version
		}
	}
	if best == "" {
		return "", ErrNotInstalled
	}
	return best, nil
}
