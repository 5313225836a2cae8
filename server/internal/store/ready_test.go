package store

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"testing"

	"sesame/server/internal/problem"
)

// A check of the database that did not begin says nothing about the database.
func TestACheckThatDoesNotBegin(t *testing.T) {
	db, err := Create(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "sesame.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.ready.turn <- struct{}{} // another check runs
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = db.Ready(ctx)
	if p, ok := errors.AsType[*problem.Error](err); !ok || p.Code != problem.Unavailable || !errors.Is(err, ErrNotChecked) {
		t.Errorf("got %v", err)
	}
	<-db.ready.turn
	if err = db.Close(); err != nil {
		t.Fatal(err)
	}
	if err = db.Ready(t.Context()); err == nil || errors.Is(err, ErrNotChecked) {
		t.Errorf("with a closed database: %v", err)
	}
}

// Checks that wait for each other share the next one. If each made its own, a stranger who sends enough of them at once could make the
// probe of a load balancer wait until it fails.
func TestChecksThatWaitShareOne(t *testing.T) {
	db, err := Create(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "sesame.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err = db.Migrate(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	var made atomic.Int32
	probe := db.engine.probe
	db.engine.probe = func(ctx context.Context) error {
		made.Add(1)
		return probe(ctx)
	}
	const checks = 50
	db.ready.turn <- struct{}{} // a check runs
	answers := make(chan error, checks)
	for range checks {
		go func() { answers <- db.Ready(t.Context()) }()
	}
	for waiting := 0; waiting < checks; runtime.Gosched() {
		var stacks bytes.Buffer
		if err = pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
			t.Fatal(err)
		}
		waiting = 0
		for stack := range bytes.SplitSeq(stacks.Bytes(), []byte("\n\n")) {
			if bytes.Contains(stack, []byte("[select")) && bytes.Contains(stack, []byte("(*DB).Ready")) {
				waiting++
			}
		}
	}
	<-db.ready.turn
	for range checks {
		if err = <-answers; err != nil {
			t.Error(err)
		}
	}
	if got := made.Load(); got != 1 {
		t.Errorf("%d checks were made", got)
	}
	if err = db.Ready(t.Context()); err != nil || made.Load() != 2 {
		t.Errorf("%v: a later check makes none of its own", err)
	}
}
