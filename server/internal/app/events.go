package app

import (
	"fmt"
	"io"
	"os"

	"sesame/server/internal/audit"
	"sesame/server/internal/config"
	"sesame/server/internal/store"
)

// openEventLog opens the stream of events, if there is to be one. Only the server writes to standard output: that of a
// command is for its results. A command does append to a file.
func (a *App) openEventLog(serves bool) (err error) {
	failed := func(err error) {
		a.Log.Error("the event log lacks a line", "error", err)
		a.Metrics.eventsLost.Add(1)
	}
	switch {
	case a.EventLog == "" || a.EventsToStdout() && !serves:
		return nil
	case a.EventsToStdout():
		var out io.Writer = os.Stdout
		if a.Stdout != nil {
			out = a.Stdout
		}
		a.eventLog = audit.NewStream(out, failed)
		return nil
	}
	if a.eventLog, err = audit.OpenStream(a.EventLog, failed); err != nil {
		return fmt.Errorf("%s: %w", config.Variable("event-log"), err)
	}
	return nil
}

func (a *App) closeEventLog() error {
	if a.eventLog == nil {
		return nil
	}
	return a.eventLog.Close()
}

// recorded is called with each event after its commit.
func (a *App) recorded(e store.Event) {
	a.Metrics.events.Add(1, e.Kind)
	if a.eventLog != nil {
		a.eventLog.Write(e)
	}
}
