package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/network"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// An export of which no event is found ends with its connection, even after the time of its request has passed.
func TestAnExportOfNothingEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	db, err := store.Create(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "sesame.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err = db.Migrate(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	err = db.Tx(t.Context(), func(q *store.Queries) error {
		for i := range 4500 { // more than two pages
			e := store.Event{ID: fmt.Sprintf("01900000-0000-7000-8000-%012d", i), Kind: "login", UserID: "ann", Actor: "ann"}
			if err := q.RecordEvent(t.Context(), e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, closed := range []bool{false, true} {
		connection, disconnect := context.WithCancel(t.Context())
		ctx, end := network.WithTimeout(connection, 0)
		<-ctx.Done()
		if closed {
			disconnect()
		}
		export, ended := audit.NewLog(db, token.Cursors{}, time.Now).Export(audit.Query{UserID: "ann", Actor: "bob"}), 0
		r := &exported{ctx: ctx, export: export, more: true, log: slog.New(slog.DiscardHandler), done: func() { ended++ }}
		w := httptest.NewRecorder()
		if err = r.VisitExportEventsResponse(w); err != nil || w.Body.Len() > 0 || r.more != closed || ended != 1 {
			t.Errorf("closed %v: %v, %d bytes, more %v, ended %d times", closed, err, w.Body.Len(), r.more, ended)
		}
		end()
		disconnect()
	}
}
