package app

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sesame/server/internal/config"
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

// A line that is an error is written at once, with all that waited before it.
func TestErrorsDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &strings.Builder{}
		log := NewLog(config.Settings{LogFormat: "json", LogLevel: "info"}, out)
		log.Info("one")
		log.Warn("two")
		if out.String() != "" {
			t.Errorf("they do not wait: %s", out)
		}
		log.With("a", 1).WithGroup("g").Error("three")
		if got := strings.Count(out.String(), "\n"); got != 3 {
			t.Errorf("%d lines are written: %s", got, out)
		}
		log.Info("four")
		log.Close()
		if got := strings.Count(out.String(), "\n"); got != 4 {
			t.Errorf("%d lines are written: %s", got, out)
		}
	})
}

// A panic of a worker ends the process; the lines before it are written first.
func TestAPanicDoesNotLoseTheLinesBeforeIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &strings.Builder{}
		log := NewLog(config.Settings{LogFormat: "json", LogLevel: "info"}, out)
		defer log.Close()
		a := &App{Options: Options{Log: log.Logger, OwnLog: log}}
		func() {
			defer func() {
				if value := recover(); value != "boom" {
					t.Errorf("the panic is %v", value)
				}
			}()
			defer a.flushOnPanic()
			log.Info("one")
			panic("boom")
		}()
		if !strings.Contains(out.String(), `"msg":"one"`) {
			t.Error("the line is lost")
		}
	})
}

func TestToggleDebug(t *testing.T) {
	t.Parallel()
	for usual, want := range map[string][]string{
		"debug": {"INFO", "DEBUG"}, "info": {"DEBUG", "INFO"}, "warn": {"DEBUG", "WARN"}, "error": {"DEBUG", "ERROR"},
	} {
		out := &strings.Builder{}
		log := NewLog(config.Settings{LogFormat: "json", LogLevel: usual}, out)
		for _, level := range want {
			log.ToggleDebug()
			if log.Flush(); log.level.Level().String() != level || !strings.Contains(out.String(), `"level":"`+level+`"}`) {
				t.Errorf("%s: the level is %v, want %s; the log has %s", usual, log.level.Level(), level, out)
			}
		}
		log.Close()
	}
}
