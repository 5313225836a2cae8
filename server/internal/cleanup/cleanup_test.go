package cleanup

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// After a full batch the cleanup pauses for as long as that batch took, so that at least half of the time is left for
// other writers. (The time is synctest's.)
func TestTheCleanupPausesBetweenBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := &Job{Now: time.Now}
		took := []time.Duration{3 * time.Second, time.Second, 2 * time.Second}
		var began []time.Duration
		start := time.Now()
		deleted, err := job.repeat(t.Context(), func(_ context.Context, _ time.Time, limit int) (int64, error) {
			batch := len(began)
			began = append(began, time.Since(start))
			time.Sleep(took[batch])
			if batch == len(took)-1 {
				return 1, nil
			}
			return int64(limit), nil
		})
		if err != nil || deleted != 2*batchSize+1 {
			t.Errorf("%d rows were deleted: %v", deleted, err)
		}
		if want := []time.Duration{0, 6 * time.Second, 8 * time.Second}; !slices.Equal(began, want) || time.Since(start) != 10*time.Second {
			t.Errorf("the batches began at %v and ended at %v, want %v and 10s", began, time.Since(start), want)
		}
	})
}
