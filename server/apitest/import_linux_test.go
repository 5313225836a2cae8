package apitest

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sesame/server/internal/cli"
)

// A terminal is shown how far an import is, in one line that is gone at the end and never mixes with a message.
func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, "{\"username\":\"u%04d\"}\n", i)
		if i == 1200 {
			lines.WriteString("{\"username\":\"a b\"}\n")
		}
	}
	file := writeFile(t, "users.jsonl", lines.String())
	screen, stderr := terminal(t)
	shown := make(chan string)
	go func() {
		var all bytes.Buffer
		part := make([]byte, 4096)
		for {
			n, err := screen.Read(part)
			all.Write(part[:n])
			if err != nil { // the program's end is closed
				shown <- all.String()
				return
			}
		}
	}()
	began, looks := time.Now(), atomic.Int64{}
	clock := func() time.Time { return began.Add(time.Duration(looks.Add(1)) * 700 * time.Millisecond) } // 700 ms for each look at the clock
	var stdout bytes.Buffer
	code := run(t.Context(), []string{"user", "import", file}, map[string]string{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()},
		cli.Env{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: stderr, Now: clock})
	stderr.Close()
	got := <-shown
	if code != 1 || !strings.HasPrefix(stdout.String(), "2001 read: 2000 created") {
		t.Errorf("code %d: %s", code, stdout.String())
	}
	if !regexp.MustCompile(`\r\x1b\[K\d+%: 1000 read, 1000 created\r\x1b\[K`).MatchString(got) {
		t.Errorf("no progress: %q", got)
	}
	if !strings.Contains(got, "\x1b[K"+file+", line 1202: the username") || !strings.Contains(got, "\x1b[Ksesame: 1 line refused") {
		t.Errorf("a message is on the line of the progress: %q", got)
	}
}
