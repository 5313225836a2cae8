package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/audit"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

const (
	// maxExports is how many exports run at once, since each reads the database without a pause.
	maxExports = 2
	// A client that takes longer for a batch is cut off, and so is an export that takes longer as a whole: it can be continued.
	exportWriteTime = 30 * time.Second
	exportTime      = time.Hour
	// exportReadTime bounds the reading of a batch. The deadline of the request is too early for a long export.
	exportReadTime = 10 * time.Second
)

var errExportsRun = errors.New("two exports of events run")

// ExportEvents is GET /events/export. It reads the first batch before it answers, so that an error has a status.
func (s *Server) ExportEvents(ctx context.Context, request api.ExportEventsRequestObject) (api.ExportEventsResponseObject, error) {
	export, err := s.Audit.Export(eventQuery(request.Params))
	if err != nil {
		return nil, err
	}
	select {
	case s.exports <- struct{}{}:
	default:
		return nil, problem.Wrap(problem.Unavailable, "Two exports are running here. Try again when one has ended.", errExportsRun)
	}
	first, err := export.Next(ctx)
	if err != nil {
		<-s.exports
		return nil, err
	}
	return &exported{ctx: ctx, export: export, batch: first, log: s.Log, done: func() { <-s.exports }}, nil
}

// exported is the response of an export.
type exported struct {
	ctx    context.Context
	export *audit.Export
	batch  []store.Event
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
	for len(r.batch) > 0 {
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
		if errors.Is(r.ctx.Err(), context.Canceled) { // the client has closed the connection
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
	return nil
}

var errExportTooLong = errors.New("it takes more than an hour")

func (r *exported) next() (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), exportReadTime)
	defer cancel()
	r.batch, err = r.export.Next(ctx)
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
