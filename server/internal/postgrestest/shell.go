package postgrestest

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// shell runs a script that takes orders, as the user of PostgreSQL. The script sees the end of its standard input however this
// process ends, and then stops and deletes everything that it has started.
type shell struct {
	t        testing.TB
	orders   io.WriteCloser
	answers  *bufio.Reader
	messages *bytes.Buffer
}

// startShell starts a script and waits until it is ready. It ends with the test.
func startShell(t testing.TB, script, bin string, environment ...string) *shell {
	t.Helper()
	s := &shell{t: t, messages: &bytes.Buffer{}}
	cmd := exec.Command("sh", "-c", script)
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		cmd = exec.Command("su", "-s", "/bin/sh", "postgres", "-c", script)
	}
	// Not our environment: PGDATA, PGPORT and others would change what it does.
	cmd.Env = append([]string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "BIN=" + bin}, environment...)
	cmd.Dir, cmd.Stderr = "/tmp", s.messages // which the user postgres can enter
	var err error
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

// order gives the script an order, and waits until it is done.
func (s *shell) order(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.orders, text+"\n"); err != nil {
		s.t.Fatal(err)
	}
	s.expect("done")
}

func (s *shell) expect(word string) {
	s.t.Helper()
	if line, err := s.answers.ReadString('\n'); strings.TrimSpace(line) != word {
		s.t.Fatalf("the script of PostgreSQL servers: %q %v\n%s", line, err, s.messages)
	}
}
