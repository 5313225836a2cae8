package app

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// debugSignals are the signals that switch debug lines on and off, on systems that have one.
var debugSignals []os.Signal

// handleSignals lets an operator change a running server until ctx ends. SIGHUP reopens the file of the event log. It is
// handled only where there is such a file: otherwise it ends the server, as it does when its terminal is closed. SIGUSR1
// switches debug lines on and off, unless the log is the program's own.
func (a *App) handleSignals(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	var handled []os.Signal
	if a.eventLog != nil && !a.EventsToStdout() {
		handled = append(handled, syscall.SIGHUP)
	}
	if a.OwnLog != nil {
		handled = append(handled, debugSignals...)
	}
	if len(handled) == 0 { // Notify would take every signal
		return
	}
	signal.Notify(signals, handled...)
	a.workers.Go(func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				a.handle(s)
			}
		}
	})
}

func (a *App) handle(s os.Signal) {
	if slices.Contains(debugSignals, s) {
		a.OwnLog.ToggleDebug()
		return
	}
	if err := a.eventLog.Reopen(); err != nil {
		a.Log.Error("SIGHUP: the event log stays in the old file", "error", err)
		return
	}
	a.Log.Info("SIGHUP: the event log is open again", "file", a.EventLog)
}
