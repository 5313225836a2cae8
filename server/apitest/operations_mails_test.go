package apitest

import (
	"fmt"
	"testing"
	"time"
)

// waitingMail leaves a mail in the database that is due in half an hour, and returns its id.
func (s *server) waitingMail(t *testing.T) (id string) {
	t.Helper()
	id = newID()
	now := s.clock.now()
	s.sql(t, fmt.Sprintf(`INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at) VALUES ('%s', 'test', '', 1, %d, 0, %d)`,
		id, now.Add(30*time.Minute).UnixMicro(), now.UnixMicro()))
	return id
}
