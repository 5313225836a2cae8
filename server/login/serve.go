package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/app"
	"sesame/server/internal/config"
	"sesame/server/internal/store"
)

// Serve answers requests until ctx ends. Then it is not ready, goes on answering for SESAME_DRAIN_TIME if other machines can
// reach it, finishes those in flight, cuts off what takes longer than ten seconds,
// and returns when the last handler has. It fails at once if an operation of the contract has no handler, or if a handler
// is registered where the contract would not guard it. e is the Echo server of Mount. A server serves once.
func (a *App) Serve(ctx context.Context, e *echo.Echo) error {
	if a.closed.Load() {
		return errClosed
	}
	if a.http == nil || e != a.echo {
		return errors.New("Serve needs the Echo server that Mount has succeeded for")
	}
	if err := a.checkRoutes(e); err != nil {
		return err
	}
	if a.served.Swap(true) {
		return errors.New("Serve was called before; it serves once")
	}
	a.contract.AddHead(e)
	a.http.RememberRouting(e)
	if a.app.Plain() {
		a.log.Warn("passwords and tokens cross the network unencrypted: the public URL is not https; put a proxy with TLS in front and set "+
			config.Variable("public-url"), "public_url", a.app.PublicURL, "listen", a.app.Listen)
	}
	workers, end := context.WithCancel(context.WithoutCancel(ctx)) // they work for the requests until the last is answered
	defer end()
	a.app.Start(workers)
	drain := a.app.DrainTime.Duration
	if a.app.Loopback() {
		drain = 0
	}
	return app.Serve(ctx, a.listener, e, a.log, a.http.Stop, drain)
}

var errClosed = errors.New("the login server is closed")

// Greet writes what a person at a terminal needs to know of a server that is about to serve, and more lines.
func (a *App) Greet(w io.Writer, more ...string) {
	data := a.app.DatabaseName()
	if _, ok := store.SQLitePath(a.app.DatabaseURL.Reveal()); ok {
		data += " (SQLite)"
		if a.app.MasterKey.Empty() {
			data += "\n             " + a.app.KeyFileName() + " (its master key: back up both)"
		}
	}
	var b strings.Builder
	title := "The login server"
	if a.contract != nil {
		title = a.contract.Title
	}
	fmt.Fprintf(&b, "\n%s is ready.\n\n", title)
	if a.app.Docs == "on" {
		fmt.Fprintf(&b, "  Docs       %s/docs/   (press Authorize to log in)\n", a.app.PublicURL)
	}
	if a.demo {
		fmt.Fprintf(&b, "  Demo       username %s, password %s\n", app.DemoUsername, app.DemoPassword)
		fmt.Fprintf(&b, "             username %s, same password: an administrator\n", app.DemoAdministrator)
	}
	address := a.listener.Addr()
	if address.Network() == "unix" {
		fmt.Fprintf(&b, "  Socket     %s\n", address)
	} else {
		fmt.Fprintf(&b, "  Address    %s://%s\n", a.app.Scheme(), address)
	}
	if first := a.firstRun(w); first != "" {
		fmt.Fprintf(&b, "  First run  %s\n", first)
	}
	if a.app.MetricsListener != nil {
		fmt.Fprintf(&b, "  Metrics    http://%s/metrics\n", a.app.MetricsListener.Addr())
	}
	fmt.Fprintf(&b, "  Data       %s\n", data)
	if a.app.MailsToLog() {
		fmt.Fprintf(&b, "  Mails      are written to the log (%s names no mail server)\n", config.Variable("smtp-url"))
	}
	for _, line := range append(more, "Stop       Ctrl-C") {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	_, _ = io.WriteString(w, b.String()+"\n")
}
