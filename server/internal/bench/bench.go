package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sesame/server/internal/postgrestest"
)

// built is what a run needs before anything is measured.
type built struct {
	dir       string // temporary
	module    string // where go.mod is
	binary    string
	masterKey string
}

// bench measures everything and reports it.
func bench(ctx context.Context, p plan, stdout, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "sesame-bench-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	busy := loadAverage()
	fmt.Fprintln(progress, "building the server")
	b, err := build(ctx, dir)
	if err != nil {
		return err
	}
	postgresURL, stopPostgres, err := startPostgres(ctx, progress)
	if err != nil {
		return err
	}
	defer stopPostgres()
	cases, reader, err := b.measureCases(ctx, p, postgresURL, progress)
	if err != nil {
		return err
	}
	fmt.Fprintln(progress, "measuring start and memory")
	own, err := b.measureProcess(ctx, p, reader)
	if err != nil {
		return err
	}
	fmt.Fprintln(progress, "timing refused logins")
	alike, err := b.measureEnumeration(ctx, p)
	if err != nil {
		return err
	}
	f := figures{plan: p, cases: cases, process: own, alike: alike, busy: busy}
	fmt.Fprint(stdout, f.tables())
	if err := f.failed(); err != nil || !p.write {
		return err
	}
	path := filepath.Join(b.module, "docs", "benchmarks.md")
	if err := os.WriteFile(path, []byte(f.document()), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// build compiles the server as a release is compiled.
func build(ctx context.Context, dir string) (*built, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails, by its documentation
	b := &built{dir: dir, binary: filepath.Join(dir, "sesame"), masterKey: base64.StdEncoding.EncodeToString(key)}
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	b.module = strings.TrimSpace(string(module))
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.binary, "./server")
	compile.Dir = b.module
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return b, nil
}

// startPostgres returns the URL of an empty database, or none where there is no PostgreSQL. The
// database keeps PostgreSQL's safe defaults and is reached over TCP, as in production.
func startPostgres(ctx context.Context, progress io.Writer) (databaseURL string, stop func(), err error) {
	server, err := postgrestest.Start(ctx, postgrestest.OverTCP)
	if errors.Is(err, postgrestest.ErrNotInstalled) && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1" {
		fmt.Fprintln(progress, "leaving PostgreSQL out:", err)
		return "", func() {}, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if databaseURL, err = server.CreateDatabase(ctx); err != nil {
		server.Stop()
		return "", nil, err
	}
	return databaseURL, func() { server.Stop() }, nil
}

// sqliteURL is the database of the SQLite cases, which later starts find as an existing one.
func (b *built) sqliteURL() string { return "sqlite:" + filepath.Join(b.dir, "sesame.db") }
