package apitest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudoterminal. What is typed goes into keyboard, and what a program writes to screen can be read from
// keyboard.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}

// conversation runs a command at a terminal: it types each answer when its question appears, and returns all that the terminal
// showed.
func conversation(t *testing.T, c *exec.Cmd, script ...string) (shown string, code int) {
	t.Helper()
	keyboard, screen := terminal(t)
	c.Stdin, c.Stdout, c.Stderr = screen, screen, screen
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	screen.Close()
	t.Cleanup(func() { _ = c.Process.Kill() })
	chunk := make([]byte, 1024)
	answered := 0
	for {
		n, err := keyboard.Read(chunk)
		shown += strings.ReplaceAll(string(chunk[:n]), "\r\n", "\n")
		for len(script) > 0 && strings.Contains(shown[answered:], script[0]) {
			answered += strings.Index(shown[answered:], script[0]) + len(script[0])
			if strings.HasPrefix(script[0], "Password") || strings.HasPrefix(script[0], "Again") {
				until(t, "the terminal does not show what is typed", func() bool {
					state, err := unix.IoctlGetTermios(int(keyboard.Fd()), unix.TCGETS)
					return err == nil && state.Lflag&unix.ECHO == 0
				})
			}
			if _, err := io.WriteString(keyboard, script[1]); err != nil {
				t.Fatal(err)
			}
			script = script[2:]
		}
		if err != nil { // EIO when the program has ended
			break
		}
	}
	_ = c.Wait() // the code says it all
	if len(script) > 0 {
		t.Errorf("%q was not asked: %s", script[0], shown)
	}
	return shown, c.ProcessState.ExitCode()
}

// A person confirms a deletion by typing the username; anything else, and an interrupt, keeps the account.
func TestADeletionIsConfirmedAtATerminal(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	id := s.register(t, "ann").ID
	const question = "Type the username to delete the account: "
	for typed, reason := range map[string]string{"yes\n": "what you typed is not ann", "\n": "nothing was changed", "ANN\n": "nothing was changed", "\x04": "nothing was changed", "\x03": "interrupted"} {
		shown, code := conversation(t, process(t, s.dbURL, "user", "delete", "ann"), question, typed)
		if code != 1 || !strings.Contains(shown, "\nsesame: ") || !strings.Contains(shown, reason) {
			t.Errorf("%q: code %d\n%s", typed, code, shown)
		}
	}
	s.must(t, "", "user", "show", "ann")
	shown, code := conversation(t, process(t, s.dbURL, "user", "delete", id), question, "ann\n")
	if code != 0 || !strings.Contains(shown, "Deleting ann ("+id) || !strings.Contains(shown, "Deleted the account ann.") {
		t.Errorf("code %d\n%s", code, shown)
	}
	if _, stderr, code := s.sesame(t, "", "user", "show", "ann"); code != 1 {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// A password is typed twice and never shown. An interrupt at the prompt ends the command and turns the echo on again.
func TestAPasswordIsTypedAtATerminal(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	create := func() *exec.Cmd { return process(t, s.dbURL, "user", "create", "ann") }
	shown, code := conversation(t, create(), "Password: ", horse+"\n", "Again: ", "another horse\n")
	if code != 1 || !strings.Contains(shown, "the two passwords differ") {
		t.Errorf("code %d\n%s", code, shown)
	}
	c := create()
	c.Args = append([]string{"sh", "-c", `trap : INT; "$@"; echo "code $?"; stty -a`, "sh"}, append([]string{c.Path}, c.Args[1:]...)...)
	c.Path = "/bin/sh"
	shown, _ = conversation(t, c, "Password: ", "\x03")
	if !strings.Contains(shown, "sesame: interrupted") || !strings.Contains(shown, "code 1\n") || !strings.Contains(shown, " echo ") {
		t.Errorf("after an interrupt:\n%s", shown)
	}
	shown, code = conversation(t, create(), "Password: ", horse+"\n", "Again: ", horse+"\n")
	if code != 0 || strings.Contains(shown, horse) {
		t.Errorf("code %d\n%s", code, shown)
	}
	s.login(t, "ann")
}

var refused = regexp.MustCompile(`refused`)

// The first interrupt lets the server finish what it is answering; the second ends it at once.
func TestASecondInterruptEndsTheServerAtOnce(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	c, output := process(t, sqliteURL(t), "serve"), newLines()
	c.Stdout = output
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	address := strings.TrimPrefix(output.find(readyLine), "http://")
	unfinished, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address) // for which the server would wait ten seconds
	if err != nil {
		t.Fatal(err)
	}
	defer unfinished.Close()
	fmt.Fprintf(unfinished, "POST /users HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n", address)
	if _, err = unfinished.Read(make([]byte, 25)); err != nil { // 100 Continue: a handler reads the body
		t.Fatal(err)
	}
	interrupt := func() {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	until(t, "it takes no more connections", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err != nil && refused.MatchString(err.Error())
	})
	interrupt()
	_ = c.Wait() // the state says it all
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", c.ProcessState)
	}
}
