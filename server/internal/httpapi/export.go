package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/audit"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

const (
	// maxExports is how many exports run at once, since each reads the database without a pause. An account or client has one of them,
	// so that it cannot take them from the others.
	maxExports = 4
	// A client that takes longer for a batch is cut off, and so is an export that takes longer as a whole: it can be continued.
	exportWriteTime = 30 * time.Second
	exportTime      = time.Hour
	// exportReadTime bounds the reading of a batch. The deadline of the request is too early for a long export.
	exportReadTime = 10 * time.Second
)

var errExportsRun = errors.New("other exports of events run")

// exports are those that run here, by the account or client that reads each.
type exports struct {
	mu      sync.Mutex
	running map[string]bool
}

// begin begins an export of a reader, and returns a function that ends it. Errors: Unavailable.
func (e *exports) begin(reader string) (end func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.running[reader]:
		return nil, problem.Wrap(problem.Unavailable, "An export of yours is running here. Try again when it has ended.", errExportsRun)
	case len(e.running) == maxExports:
		return nil, problem.Wrap(problem.Unavailable, "Four exports are running here. Try again when one has ended.", errExportsRun)
	}
	e.running[reader] = true
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.running, reader)
	}, nil
}

// ExportEvents is GET /events/export. It reads the first batch before it answers, so that an error has a status.
func (s *Server) ExportEvents(ctx context.Context, request api.ExportEventsRequestObject) (api.ExportEventsResponseObject, error) {
	done, err := s.exports.begin(caller(ctx).Actor().ID)
	if err != nil {
		return nil, err
	}
	r := &exported{ctx: ctx, export: s.Audit.Export(eventQuery(request.Params)), log: s.Log, done: done}
	if r.batch, r.more, err = r.export.Next(ctx); err != nil {
		r.done()
		return nil, err
	}
	return r, nil
}

// exported is the response of an export.
type exported struct {
	ctx    context.Context
	export *audit.Export
	batch  []store.Event
	more   bool // batches follow
	log    *slog.Logger
	done   func()
	empty  bool // the request is for the headers alone
}

// VisitExportEventsResponse implements api.ExportEventsResponseObject. An export that fails ends without the end of its body, which
// is how the client can tell that it is not complete.
func (r *exported) VisitExportEventsResponse(w http.ResponseWriter) error {
	defer r.done()
	header := w.Header()
	header.Set("Content-Type", "application/jsonl")
	header.Set("Content-Disposition", `attachment; filename="events.jsonl"`)
	w.WriteHeader(http.StatusOK)
	if r.empty {
		return nil
	}
	connection, end := http.NewResponseController(w), time.Now().Add(exportTime)
	for {
		_ = connection.SetWriteDeadline(time.Now().Add(exportWriteTime)) // in place of that of the request; another server may have none
		for _, e := range r.batch {
			line, err := audit.Line(e)
			if err == nil {
				_, err = w.Write(line)
			}
			if err != nil {
				return nil // the client has closed the connection, or it is too slow
			}
		}
		_ = connection.Flush()
		if !r.more || errors.Is(network.ConnectionOf(r.ctx).Err(), context.Canceled) { // the client is gone; of empty batches no write fails
			return nil
		}
		err := errExportTooLong
		if time.Now().Before(end) {
			err = r.next()
		}
		if err != nil {
			r.log.Error("an export of events was cut", "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

var errExportTooLong = errors.New("it takes more than an hour")

func (r *exported) next() (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), exportReadTime)
	defer cancel()
	r.batch, r.more, err = r.export.Next(ctx)
	return err
}

// withoutBody is a strict middleware that makes nothing of an export whose body would not be sent.
func withoutBody(next api.StrictHandlerFunc, _ string) api.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		response, err := next(c, request)
		if export, ok := response.(*exported); ok {
			export.empty = c.Request().Method == http.MethodHead
		}
		return response, err
	}
}
