package app

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// N20: no timer writes to the log after its end, and none of its lines is lost. (The time is synctest's.)
func TestTheLogEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &strings.Builder{}
		writes := 0
		log := &lineBuffer{to: writerFunc(func(p []byte) (int, error) { writes++; return out.Write(p) })}
		write := func(line string) {
			if _, err := log.Write([]byte(line)); err != nil {
				t.Error(err)
			}
		}
		write("one\n")
		write("two\n")
		if out.String() != "" {
			t.Error("the first lines do not wait")
		}
		time.Sleep(logDelay) // at once: nothing else runs
		synctest.Wait()
		write("three\n")
		log.close()
		if got := out.String(); got != "one\ntwo\nthree\n" || writes != 2 {
			t.Errorf("in %d writes: %q", writes, got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if writes != 2 {
			t.Errorf("%d writes after the end", writes-2)
		}
		write("four\n")
		if got := out.String(); !strings.HasSuffix(got, "four\n") {
			t.Errorf("a line after the end is lost: %q", got)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
