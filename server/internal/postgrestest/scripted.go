package postgrestest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// scripted are servers that a shell script starts, and to which it does what a test orders, a word at a time.
type scripted struct {
	t        testing.TB
	orders   io.WriteCloser
	answers  *bufio.Reader
	messages *bytes.Buffer
	password string
}

// startScript runs a script until the test ends. It is skipped where PostgreSQL is not installed.
func startScript(t testing.TB, script string, environment ...string) *scripted {
	t.Helper()
	Require(t)
	if os.Getenv(EnvURL) != "" {
		t.Skip("the test needs servers of its own")
	}
	bin, err := findPrograms()
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{t: t, messages: &bytes.Buffer{}, password: rand.Text()}
	cmd := exec.Command("sh", "-c", script)
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		cmd = exec.Command("su", "-s", "/bin/sh", "postgres", "-c", script)
	}
	cmd.Env = append([]string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "BIN=" + bin, "PASSWORD=" + s.password}, environment...)
	cmd.Dir, cmd.Stderr = "/tmp", s.messages
	if s.orders, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.orders.Close(); _ = cmd.Wait() })
	s.answers = bufio.NewReader(stdout)
	s.expect("ready")
	return s
}

func (s *scripted) order(word string) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.orders, word); err != nil {
		s.t.Fatal(err)
	}
	s.expect("done")
}

func (s *scripted) expect(word string) {
	s.t.Helper()
	if line, err := s.answers.ReadString('\n'); strings.TrimSpace(line) != word {
		s.t.Fatalf("PostgreSQL servers of a test: %q %v\n%s", line, err, s.messages)
	}
}

func portFor(t testing.TB) int {
	t.Helper()
	port, err := freePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
