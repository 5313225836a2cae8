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
	if own := a.ownFile(a.EventLog); own != "" {
		return fmt.Errorf("%s is %s, which is a file of the server; name another file", config.Variable("event-log"), own)
	}
	if a.eventLog, err = audit.OpenStream(a.EventLog, failed); err != nil {
		return fmt.Errorf("%s: %w", config.Variable("event-log"), err)
	}
	return nil
}

// ownFile returns the file of the database, of a key or of another setting that name is, perhaps by a link, or "": lines at the
// end of one of these would damage it.
func (a *App) ownFile(name string) string {
	files := []string{a.MasterKeyFile, a.SecondMasterKeyFile, a.BootstrapFile, a.TLSCert, a.TLSKey, a.PasswordBreachList}
	if database, ok := store.SQLitePath(a.DatabaseURL.Reveal()); ok {
		files = append(files, database, database+"-wal", database+"-shm")
	}
	info, err := os.Stat(name)
	for _, file := range files {
		if file == "" {
			continue
		}
		if absolute(file) == absolute(name) {
			return file
		}
		if other, otherErr := os.Stat(file); err == nil && otherErr == nil && os.SameFile(info, other) {
			return file
		}
	}
	return ""
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
	if a.services != nil {
		a.services.Webhooks.Wake()
	}
}
