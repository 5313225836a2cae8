package apitest

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// asProgram is the environment variable that makes the test binary behave as the program (TestMain).
const asProgram = "SESAME_TEST_AS_PROGRAM"

// asUser is the environment variable with the id of the user as whom that program runs.
const asUser = "SESAME_TEST_AS_USER"

// process returns a command of the program that runs as a process of its own, as in production: a process does not see
// its own locks on a file as it sees those of another.
func process(t *testing.T, databaseURL string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1", "SESAME_LISTEN=127.0.0.1:0", "SESAME_DATABASE_URL="+databaseURL,
		"SESAME_MASTER_KEY="+testKey(), "SESAME_CHECK_RESPONSES=on", "SESAME_LOG_FORMAT=json", "SESAME_SMTP_URL=log:", "SESAME_REGISTRATION_LIMIT=0")
	return c
}

// spawn is start for a process of its own.
func spawn(t *testing.T, databaseURL string, settings ...string) *server {
	t.Helper()
	s, _ := spawnPID(t, databaseURL, settings...)
	return s
}

// spawnPID is spawn that returns the id of the process as well.
func spawnPID(t *testing.T, databaseURL string, settings ...string) (s *server, pid int) {
	t.Helper()
	s = &server{t: t, dbURL: databaseURL, clock: &clock{}, log: &lockedBuffer{}, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute,
	}}
	c, output := process(t, databaseURL, "serve"), newLines()
	c.Env = append(c.Env, settings...)
	c.Stdout, c.Stderr = output, s.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan int, 1)
	go func() {
		_ = c.Wait() // the code says it all
		output.Close()
		exited <- c.ProcessState.ExitCode()
	}()
	s.stop = sync.OnceValue(func() int {
		_ = c.Process.Signal(os.Interrupt) // it may have ended
		s.client.CloseIdleConnections()
		return <-exited
	})
	if s.url = output.find(readyLine); s.url == "" {
		t.Fatalf("the server did not start: exit code %d\n%s", s.stop(), s.log)
	}
	t.Cleanup(func() {
		if code := s.stop(); code != 0 {
			t.Errorf("the server ended with code %d\n%s", code, s.log)
		}
		if strings.Contains(s.log.String(), "departs from the contract") {
			t.Errorf("an answer departs from the contract:\n%s", s.log)
		}
	})
	return s, c.Process.Pid
}

// spawnCommand runs a command as a process of its own.
func spawnCommand(t *testing.T, databaseURL, stdin string, args ...string) (output string, err error) {
	t.Helper()
	c := process(t, databaseURL, args...)
	var out bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &out
	err = c.Run()
	return out.String(), err
}
