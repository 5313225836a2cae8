package certificates

import (
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/acme"

	"sesame/server/internal/store"
)

const (
	// readEvery is how soon a replica serves a certificate that another one has got.
	readEvery = 30 * time.Second
	// attemptTime ends an attempt before the next one may begin.
	attemptTime = 3 * time.Minute
	// The pause after an attempt doubles from the first to the longest. Let's Encrypt allows five failed validations an hour.
	firstPause   = 5 * time.Minute
	longestPause = time.Hour
	// successPause is the pause after a success. It matters to a clock that is far ahead, by which each certificate is due again.
	successPause = 12 * time.Hour
	// longestWait is the longest that an authority may ask for.
	longestWait = 24 * time.Hour
	// writeTime bounds what is written after an attempt.
	writeTime = 10 * time.Second
)

// pause is how long no attempt follows the one that begins after so many failures.
func pause(failures int) time.Duration {
	return min(firstPause<<min(failures, 10), longestPause)
}

// Run looks every second whether the database has another certificate, and requests one when it is due, until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	ticker := time.NewTicker(m.Every)
	defer ticker.Stop()
	for {
		if err := m.step(ctx); err != nil && ctx.Err() == nil {
			m.Log.Error("maintaining the certificate failed", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// step reads the row if it is time, and makes an attempt if one is due. A replica without a certificate reads each time.
func (m *Manager) step(ctx context.Context) error {
	now := m.Now()
	if since := now.Sub(m.read); m.served.Load() != nil && since >= 0 && since < readEvery {
		return nil
	}
	row, err := m.readRow(ctx)
	m.Log.Debug("read the certificate: it is time")
	if err != nil || !m.due(row, now) {
		return err
	}
	// The pause after a success is for a certificate that is served. One that cannot be opened is replaced at once.
	if (row.Failures > 0 || m.served.Load() != nil) && store.Pending(row.AttemptAt, now, longestWait) {
		if !m.waiting.Equal(row.AttemptAt) {
			m.waiting = row.AttemptAt
			m.Log.Info("a certificate is due; an attempt to get one is in progress, or has failed", "host", m.Host, "next_attempt", row.AttemptAt)
		}
		return nil
	}
	next := now.Add(pause(row.Failures)).Truncate(time.Microsecond) // as the database has it
	if err = m.db.AddCertificate(ctx, m.Directory, m.Host); err == nil {
		err = m.db.ClaimAttempt(ctx, row, next)
	}
	if errors.Is(err, store.ErrNotFound) { // another replica has claimed it
		return nil
	}
	if err == nil {
		m.waiting = next
		m.attempt(ctx, row)
	}
	return err
}

// due reports whether there is no certificate, or less than a third of its life is left.
func (m *Manager) due(row store.Certificate, now time.Time) bool {
	served := m.served.Load()
	if served == nil || row.Certificate == "" {
		return true
	}
	leaf := served.Leaf
	return !now.Before(leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3))
}

// attempt gets a certificate, or logs why it could not and when the next attempt follows. The claim counts it as failed already.
func (m *Manager) attempt(ctx context.Context, row store.Certificate) {
	m.Log.Info("requesting a certificate", "host", m.Host, "directory", m.Directory, "challenge", m.challengeType(row))
	limited, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	sealed, err := m.order(limited, row)
	// Also if the server stops now: the authority has issued the certificate, and counts it.
	writing, end := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer end()
	if err == nil {
		err = m.db.StoreCertificate(writing, row, sealed, m.Now().Add(successPause))
	}
	switch {
	case err != nil && ctx.Err() != nil:
		m.Log.Info("the attempt to get a certificate ends with the server")
	case err != nil:
		m.failed(writing, row, err)
	default:
		m.Attempted("success")
		if _, err = m.readRow(writing); err != nil {
			m.Log.Error("the new certificate could not be read", "error", err)
		}
		return
	}
	if err = m.db.SetChallenge(writing, row, ""); err != nil {
		m.Log.Error("the answer to the challenge could not be deleted", "error", err)
	}
}

// failed logs a failed attempt. If the authority asks for a longer pause, it is kept.
func (m *Manager) failed(ctx context.Context, row store.Certificate, cause error) {
	m.Attempted("failure")
	if asked := m.Now().Add(min(asksToWait(cause), longestWait)); asked.After(m.waiting) {
		m.waiting = asked.Truncate(time.Microsecond)
		if err := m.db.DelayAttempt(ctx, row, m.waiting); err != nil {
			m.Log.Error("the pause that the certification authority asks for could not be stored", "error", err)
		}
	}
	details := []any{"host", m.Host, "error", cause, "next_attempt", m.waiting}
	if expiry := m.Expiry(); !expiry.IsZero() {
		details = append(details, "valid_until", expiry)
	}
	m.Log.Error("no certificate could be obtained", details...)
}

// asksToWait is how long an authority that has refused a request wants to be left alone.
func asksToWait(err error) time.Duration {
	answer, ok := errors.AsType[*acme.Error](err)
	if !ok {
		return 0
	}
	wait, _ := acme.RateLimit(answer)
	return wait
}
