package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"sesame"
	"sesame/docs"
	"sesame/server/internal/auth"
	"sesame/server/internal/config"
	"sesame/server/internal/httpapi"
	"sesame/server/internal/store"
)

const (
	// maxHeader is 16 KiB together with the 4 KiB that net/http adds of itself.
	maxHeader = 12 << 10
	// shutdownTime is what requests in flight get when the server is told to stop.
	shutdownTime = 10 * time.Second
	// requestTime ends a request that waits for a database which answers nothing, before writeTime cuts its
	// connection. So the server stops within that time, too.
	requestTime = 20 * time.Second
	writeTime   = 30 * time.Second
)

type serveCommand struct {
	Demo   bool   `help:"Make the account johndoe with the password knock-knock; only on loopback."`
	Follow string `hidden:"" type:"existingfile" help:"Show this openapi.yaml on the pages, as it is being written; for make dev, only on loopback."`
}

// Run serves until the program is told to stop. It is the whole wiring, top to bottom. What can be checked is
// checked before the database is opened, which may make files. What is deferred runs from the bottom up: first
// the requests end, then the workers, then what is left to record, then the database is closed, and last the log
// is written.
func (c *serveCommand) Run(p *program) error {
	if err := c.check(p); err != nil {
		return err
	}
	p.suitCollector()
	log, endLog := p.logger()
	defer endLog()
	listener, err := (&net.ListenConfig{}).Listen(p.ctx, "tcp", p.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	settings := p.InForce(listener.Addr().String())
	mails, err := p.dispatcher(settings, log)
	if err != nil {
		return err
	}
	parts, err := p.create()
	if err != nil {
		return err
	}
	defer parts.db.Close()
	if err = parts.db.Ready(p.ctx); err != nil {
		return fmt.Errorf("the database %s cannot be written to: %w", p.databaseName(), err)
	}
	if err = parts.keys.Start(p.ctx, log); err != nil {
		return err
	}
	*p.Settings = settings

	e := echo.New()
	e.IPExtractor = httpapi.ClientAddress(p.Proxies(), log)
	server, err := httpapi.Register(e, httpapi.Options{
		PublicURL: p.PublicURL, CheckResponses: p.CheckResponses == "on",
		CORSOrigins: p.CorsOrigins.Items(), Log: log, Ready: parts.db.Ready,
		NewService: func(scopes []string) *auth.Service { return p.service(parts, scopes, log) },
	})
	if err != nil {
		return err
	}
	defer server.Service().Close()
	if err = c.showDocs(e, p); err != nil {
		return err
	}
	if err = c.demoAccount(p.ctx, server.Service(), log); err != nil {
		return err
	}
	mails.Outbox, mails.DB = parts.outbox, parts.db
	ctx, stop := context.WithCancel(p.ctx)
	var workers sync.WaitGroup
	defer func() { stop(); workers.Wait() }()
	workers.Go(func() { mails.Run(ctx) })
	workers.Go(func() { tend(ctx, parts.keys, log) })
	workers.Go(func() { tidy(ctx, server.Service(), log) })
	workers.Go(forgetStart)
	p.warn(log)
	p.greet(listener.Addr(), c.Demo)
	return serve(p.ctx, listener, e, log, server.Stop)
}

// check finds what the settings and flags say that must not be together.
func (c *serveCommand) check(p *program) error {
	if c.Demo && !p.Loopback() {
		return fmt.Errorf("--demo makes an account with a known password, so the server must be on loopback alone; %s", p.Reach())
	}
	if c.Follow != "" && !p.Loopback() {
		return fmt.Errorf("--follow shows a file that is being written, so the server must be on loopback alone; %s", p.Reach())
	}
	if sesame.Stale() {
		return errors.New("openapi.yaml has changed since the code was generated from it; run: make generate")
	}
	return p.CheckReach()
}

// warn logs what the settings allow and an operator may not know.
func (p *program) warn(log *slog.Logger) {
	if p.Plain() {
		log.Warn("passwords and tokens cross the network unencrypted: the public URL is not https; put a proxy with TLS in front and set "+
			config.Variable("public-url"), "public_url", p.PublicURL, "listen", p.Listen)
	}
}

func (c *serveCommand) showDocs(e *echo.Echo, p *program) error {
	if p.Docs == "off" {
		return nil
	}
	if err := docs.Register(e, sesame.OpenAPI, p.PublicURL); err != nil {
		return err
	}
	if c.Follow != "" {
		if err := docs.Follow(e, c.Follow, p.PublicURL); err != nil {
			return err
		}
	}
	return docs.RegisterCollection(e, sesame.OpenAPI, p.PublicURL)
}

// inFlight is a handler that can be waited for, which http.Server does not do after Close. Each request has a deadline.
type inFlight struct {
	http.Handler
	requests sync.RWMutex // read-locked by each
}

// ServeHTTP implements http.Handler.
func (h *inFlight) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.requests.TryRLock() { // after wait, on a connection that is closed
		panic(http.ErrAbortHandler)
	}
	defer h.requests.RUnlock()
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	h.Handler.ServeHTTP(w, r.WithContext(ctx))
}

// wait returns when no request is being answered any more, and lets none begin after that.
func (h *inFlight) wait() { h.requests.Lock() }

// serve answers until ctx ends; then stopping is called, and requests in flight are finished, or cut off after
// shutdownTime. None is being answered when it returns.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger, stopping func()) error {
	counted := &inFlight{Handler: handler}
	defer counted.wait()
	server := &http.Server{
		Handler: counted, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: writeTime, IdleTimeout: 2 * time.Minute,
		DisableGeneralOptionsHandler: true, // which would answer OPTIONS * past all that follows
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	stopping()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("some requests were cut off after %v: %w", shutdownTime, err), server.Close())
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// greet says what a newcomer needs to know.
func (p *program) greet(listening net.Addr, demo bool) {
	data := p.databaseName()
	if _, ok := store.SQLitePath(p.DatabaseURL.Reveal()); ok {
		data += " (SQLite)"
		if p.MasterKey.Empty() {
			data += "\n             " + absolute(p.MasterKeyFile) + " (its master key: back up both)"
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nSesame is ready.\n\n")
	if p.Docs == "on" {
		fmt.Fprintf(&b, "  Docs       %s/docs/   (press Authorize to log in)\n", p.PublicURL)
	}
	if demo {
		fmt.Fprintf(&b, "  Demo       username %s, password %s\n", demoUsername, demoPassword)
	}
	fmt.Fprintf(&b, "  Address    http://%s\n", listening)
	fmt.Fprintf(&b, "  Data       %s\n", data)
	if p.MailsToLog() {
		fmt.Fprintf(&b, "  Mails      are written to the log (%s names no mail server)\n", config.Variable("smtp-url"))
	}
	fmt.Fprintf(&b, "  New user   %s user create NAME   (asks for the password)\n", programName())
	fmt.Fprintf(&b, "  Stop       Ctrl-C\n\n")
	_, _ = io.WriteString(p.Stdout, b.String())
}

// programName is how this program is started again.
func programName() string {
	if name := os.Args[0]; !strings.Contains(name, "go-build") {
		return name
	}
	return "go run ./server"
}

// databaseName says which database is meant, without a password.
func (p *program) databaseName() string {
	if file, ok := store.SQLitePath(p.DatabaseURL.Reveal()); ok {
		return absolute(file)
	}
	return "PostgreSQL"
}

func absolute(file string) string {
	if whole, err := filepath.Abs(file); err == nil {
		return whole
	}
	return file
}
