package postgrestest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	startTimeout = 60 * time.Second
	pollInterval = 20 * time.Millisecond
)

// startPrivate makes a database cluster, runs a server on it, and returns the URL of its
// administrator once that answers.
func startPrivate(ctx context.Context, set settings) (_ *process, _ *url.URL, err error) {
	bin, err := findPrograms()
	if err != nil {
		return nil, nil, err
	}
	account, err := unprivileged()
	if err != nil {
		return nil, nil, err
	}
	dir, log, err := makeDir(account)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	password := rand.Text()
	if err := initialise(ctx, bin, dir, password, account); err != nil {
		return nil, nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	server := account.command(context.Background(), dir, filepath.Join(bin, "postgres"), arguments(dir, port, set)...)
	p, err := startProcess(dir, log, server)
	if err != nil {
		return nil, nil, err
	}
	admin := adminURL(dir, port, password, set)
	if err := p.waitReady(ctx, admin); err != nil {
		p.stop()
		return nil, nil, err
	}
	return p, admin, nil
}

// initialise makes the cluster. The socket is in a directory that only we can enter, so it needs no
// password; on 127.0.0.1, which every user of the machine can reach, one is asked for.
func initialise(ctx context.Context, bin, dir, password string, account account) error {
	passwordFile := filepath.Join(dir, "password")
	if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
		return fmt.Errorf("write the password for initdb: %w", err)
	}
	if err := account.own(passwordFile); err != nil {
		return err
	}
	initdb := account.command(ctx, dir, filepath.Join(bin, "initdb"), "--pgdata="+dataDir(dir),
		"--username=postgres", "--pwfile="+passwordFile, "--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=UTF8", "--no-locale", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func dataDir(dir string) string { return filepath.Join(dir, "data") }

func arguments(dir string, port int, set settings) []string {
	args := []string{
		"-D", dataDir(dir), "-k", dir, "-p", strconv.Itoa(port),
		"-c", "max_connections=200", "-c", "shared_buffers=32MB",
	}
	if set.tcp {
		args = append(args, "-c", "listen_addresses=127.0.0.1")
	} else {
		args = append(args, "-c", "listen_addresses=")
	}
	if set.fast {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
	}
	return args
}

// adminURL spells everything out, because pgx fills what is missing from PGHOST, PGUSER and so on.
func adminURL(dir string, port int, password string, set settings) *url.URL {
	query := url.Values{"sslmode": {"disable"}}
	host := ""
	if set.tcp {
		host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	} else {
		query.Set("host", dir)
		query.Set("port", strconv.Itoa(port))
	}
	return &url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", password), Host: host,
		Path: "/postgres", RawQuery: query.Encode(),
	}
}

// waitReady returns when the server answers, has ended, or takes too long.
func (p *process) waitReady(ctx context.Context, admin *url.URL) error {
	for {
		err := run(ctx, admin, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("PostgreSQL ended at start:\n%s", p.log())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not answer in time: %w\n%s", err, p.log())
		case <-time.After(pollInterval):
		}
	}
}

// freePort asks the kernel for a port. Another program may take it before PostgreSQL does; that is
// rare, and PostgreSQL then says so.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
