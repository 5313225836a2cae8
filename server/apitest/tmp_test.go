package apitest

import (
	"sync"
	"testing"
	"time"
)

func TestTmpFrozenMany(t *testing.T) {
	databaseURL, freeze := freezable(t, postgresURL(t))
	s := start(t, databaseURL)
	tokens := s.newcomer(t, "ann")
	freeze()
	var wait sync.WaitGroup
	begun := time.Now()
	var mu sync.Mutex
	var longest time.Duration
	by := map[int]int{}
	for range 60 {
		wait.Go(func() {
			a, err := s.try(me(tokens.AccessToken))
			mu.Lock()
			defer mu.Unlock()
			longest = max(longest, time.Since(begun))
			if err != nil { t.Log(err) }
			by[a.status]++
		})
	}
	wait.Wait()
	t.Log(longest, by)
	begun = time.Now()
	s.stop()
	t.Log("stop", time.Since(begun))
}
