//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sesame/server/internal/postgrestest"
)

// bench is what a run needs before anything is measured.
type bench struct {
	plan
	ctx      context.Context
	module   string // the folder with go.mod
	dir      string // temporary
	program  string // the server of this tree
	key      string // the master key
	postgres *postgrestest.Server
	running  []*process
}

// newBench compiles the server as a release is compiled.
func newBench(ctx context.Context, p plan) (*bench, error) {
	b := &bench{plan: p, ctx: ctx}
	var err error
	if b.dir, err = os.MkdirTemp("", "sesame-bench-"); err != nil {
		return b, err
	}
	var key [32]byte
	rand.Read(key[:])
	b.key, b.program = base64.StdEncoding.EncodeToString(key[:]), filepath.Join(b.dir, "sesame")
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return b, err
	}
	b.module = strings.TrimSpace(string(module))
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.program, "./server")
	compile.Dir, compile.Env = b.module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return b, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	// PostgreSQL keeps its safe defaults and is reached over TCP, as in production.
	b.postgres, err = postgrestest.Start(ctx, postgrestest.OverTCP)
	if errors.Is(err, postgrestest.ErrNotInstalled) && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1" {
		fmt.Fprintln(os.Stderr, "without PostgreSQL:", err)
		err = nil
	}
	return b, err
}

func (b *bench) close() {
	for _, p := range b.running {
		p.stop()
	}
	b.running = nil
	if b.postgres != nil {
		b.postgres.Stop()
		b.postgres = nil
	}
	os.RemoveAll(b.dir)
}

// process is a running server.
type process struct {
	url    string
	cmd    *exec.Cmd
	output *bytes.Buffer // its log; read it when the process has ended
	exited chan struct{}
}

// start runs a program until the bench ends, with these variables and no others.
func (b *bench) start(program string, args []string, url string, environ ...string) (*process, error) {
	p := &process{url: url, cmd: exec.Command(program, args...), output: &bytes.Buffer{}, exited: make(chan struct{})}
	log, err := os.Create(filepath.Join(b.dir, fmt.Sprintf("%d.log", len(b.running)))) // not a pipe, as in production
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Env = slices.Concat(environ, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir})
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	b.running = append(b.running, p)
	go func() { p.cmd.Wait(); close(p.exited) }()
	return p, nil
}

// server runs Sesame with everything that is on by default, and waits until it is ready.
func (b *bench) server(program, database string, settings ...string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := b.start(program, []string{"serve"}, "http://"+address, append(settings, "SESAME_LISTEN="+address, "SESAME_DATABASE_URL="+database,
		"SESAME_MASTER_KEY="+b.key, "SESAME_LOG_FORMAT=json", "SESAME_REGISTRATION_LIMIT=0", "SESAME_TRUSTED_PROXIES=127.0.0.1/32",
		"SESAME_PUBLIC_URL=http://127.0.0.1:8080", "SESAME_SMTP_URL=log:")...) // the issuer stays the same at another port
	if err != nil {
		return nil, err
	}
	return p, p.wait("/readyz", "")
}

// wait asks until the answer is 200.
func (p *process) wait(path, token string) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Microsecond) {
		if status, _, err := send(http.DefaultClient, request{"GET", p.url + path, token, "", "", ""}, ""); err == nil && status == 200 {
			return nil
		}
		select {
		case <-p.exited:
			return errors.New("the server ended at its start")
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("GET %s is not answered", path)
		}
	}
}

func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(15 * time.Second):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// cpu is the CPU time that the process has used, user and system, by the kernel's clock in nanoseconds.
func (p *process) cpu() time.Duration {
	const scheduler = 2 // CPUCLOCK_SCHED
	var spec unix.Timespec
	if err := unix.ClockGettime(int32(^p.cmd.Process.Pid<<3|scheduler), &spec); err != nil {
		return 0 // it has ended; the requests fail too
	}
	return time.Duration(spec.Nano())
}

// memory is a figure of /proc/PID/status in MiB: VmRSS, what is resident now, or VmHWM, the most that was.
func (p *process) memory(field string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kib / 1024
		}
	}
	return 0
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// sqlite is the URL of a database in the temporary folder.
func (b *bench) sqlite(name string) string { return "sqlite:" + filepath.Join(b.dir, name+".db") }

// users imports accounts, as JSON lines.
func (b *bench) users(program, database, lines string) error {
	cmd := exec.CommandContext(b.ctx, program, "user", "import", "-")
	cmd.Env = []string{"SESAME_DATABASE_URL=" + database, "SESAME_MASTER_KEY=" + b.key}
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("user import: %w\n%s", err, out)
	}
	return nil
}
