package store

import (
	"errors"
	"testing"
	"time"
)

// Of the replicas that read the same row, one claims the attempt. A row that was changed is not sealed again.
func TestOneReplicaClaimsAnAttempt(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		read := func() Certificate {
			t.Helper()
			row, err := db.Certificate(ctx, "https://ca.example/dir", "login.example")
			if err != nil {
				t.Fatal(err)
			}
			return row
		}
		for range 2 {
			if err := db.AddCertificate(ctx, "https://ca.example/dir", "login.example"); err != nil {
				t.Fatal(err)
			}
		}
		row, errs := read(), make(chan error)
		for range 8 {
			go func() { errs <- db.ClaimAttempt(ctx, row, time.Now().Add(time.Minute)) }()
		}
		claims := 0
		for range 8 {
			if err := <-errs; err == nil {
				claims++
			} else if !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
		}
		claimed := read()
		if claims != 1 || claimed.Failures != 1 || !claimed.AttemptAt.After(time.Now()) {
			t.Errorf("%d claims; the row is %+v", claims, claimed)
		}
		next := time.Now().Add(time.Hour).Truncate(time.Microsecond)
		if err := errors.Join(db.SetChallenge(ctx, row, "c"), db.StoreCertificate(ctx, row, "sealed", next)); err != nil {
			t.Fatal(err)
		}
		if got := read(); got.Failures != 0 || got.Certificate != "sealed" || got.Challenge != "" || !got.AttemptAt.Equal(next) {
			t.Errorf("the row is %+v", got)
		}
		if err := db.ReplaceCertificateSecrets(ctx, row, "a", "b"); !errors.Is(err, ErrNotFound) {
			t.Errorf("an older certificate replaces a newer one: %v", err)
		}
	})
}
