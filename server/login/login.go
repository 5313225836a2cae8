package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/app"
	"sesame/server/internal/bootstrap"
	"sesame/server/internal/config"
	"sesame/server/internal/contract"
	"sesame/server/internal/httpapi"
	"sesame/server/internal/web"
)

// Settings are the settings of `sesame serve`; sesame help settings describes each.
type Settings = config.Settings

// FromEnv reads the settings from variables in the form of os.Environ, NAME=value. It fails for a SESAME_ variable
// that is no setting, and for values that cannot be used, and names all of them.
func FromEnv(environ []string) (Settings, error) { return config.FromEnv(environ) }

// App is a login server that other code shares. It is safe for concurrent use once it is mounted.
type App struct {
	*options
	app      *app.App
	listener net.Listener
	look     *web.Look
	declared *bootstrap.File // nil if SESAME_BOOTSTRAP_FILE names none
	endLog   func()
	served   atomic.Bool
	closed   atomic.Bool

	contract *contract.Contract // from here on once it is mounted
	http     *httpapi.Server
	accounts *account.Service
	echo     *echo.Echo
	routes   map[route]string // that Mount has added, with the names of their handlers
}

// Option is a choice of the program, beyond the settings of its operator.
type Option func(*options)

type options struct {
	log      *slog.Logger
	ownLog   *app.Log // log, if this package has made it
	output   io.Writer
	now      func() time.Time
	demo     bool
	internal func(*app.Options)
}

// Log makes the server log to a logger of the program's. The default writes to standard error, in the format of
// SESAME_LOG_FORMAT.
func Log(log *slog.Logger) Option { return func(o *options) { o.log = log } }

// Output replaces standard error, to which the default logger writes.
func Output(w io.Writer) Option { return func(o *options) { o.output = w } }

// Clock replaces time.Now, for tests.
func Clock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// Demo creates the accounts johndoe and admin, an administrator, with the password knock-knock. Open fails with it unless
// only this machine can reach the server, which then answers only requests for localhost or an IP address.
func Demo(demo bool) Option { return func(o *options) { o.demo = demo } }

// Internal changes what only Sesame's own programs and tests may choose. Another module cannot name the type of its
// argument.
func Internal(change func(*app.Options)) Option { return func(o *options) { o.internal = change } }

// Open listens at SESAME_LISTEN, opens the database, which it creates or migrates where that is needed, and reads the
// signing keys. What can be checked is checked before anything is created.
func Open(ctx context.Context, settings Settings, opts ...Option) (*App, error) {
	o := &options{output: &app.VisibleWriter{To: os.Stderr}, now: time.Now, internal: func(*app.Options) {}}
	for _, set := range opts {
		set(o)
	}
	if o.demo && !settings.Loopback() {
		return nil, fmt.Errorf("the demo account has a known password, so the server must be on loopback alone; %s", settings.Reach())
	}
	if err := errors.Join(settings.Check(), settings.CheckReach()); err != nil {
		return nil, err
	}
	endLog := func() {}
	if o.log == nil {
		o.ownLog = app.NewLog(settings, o.output)
		o.log, endLog = o.ownLog.Logger, o.ownLog.Close
	}
	a, err := open(ctx, settings, o)
	if err != nil {
		endLog()
		return nil, err
	}
	a.endLog = endLog
	return a, nil
}

// lookOf reads the files of the operator for the pages. Without any it returns nil, for the built-in look: that one is read when
// the first page is shown, since reading and rendering it would take a large part of the time of a start.
func lookOf(settings Settings) (*web.Look, error) {
	logo, err := web.ReadLogo(settings.LogoFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Variable("logo-file"), err)
	}
	if settings.PageTemplates == "" && logo == nil && settings.AccentColor == "" {
		return nil, nil
	}
	look, err := web.NewLook(web.LookOptions{Templates: settings.PageTemplates, Logo: logo, Accent: settings.AccentColor})
	if err != nil {
		err = fmt.Errorf("%s: %w", config.Variable("page-templates"), err)
	}
	return look, err
}

func open(ctx context.Context, settings Settings, o *options) (*App, error) {
	var declared *bootstrap.File
	if settings.BootstrapFile != "" {
		var err error
		if declared, err = bootstrap.Read(settings.BootstrapFile); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s, which %s names", settings.BootstrapFile, config.Variable("bootstrap-file"))
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", config.Variable("bootstrap-file"), err)
		}
	}
	look, err := lookOf(settings)
	if err != nil {
		return nil, err
	}
	listener, metrics, redirects, err := listen(ctx, settings, o.log)
	if err != nil {
		return nil, errors.Join(err, closeAll(listener, metrics, redirects))
	}
	wiring := app.Options{
		MetricsListener: metrics, RedirectListener: redirects, OwnLog: o.ownLog,
		Settings: settings, Listening: listener.Addr().String(), Now: o.now, Log: o.log,
		Warn: func(text string) { fmt.Fprintln(o.output, "sesame:", text) },
	}
	o.internal(&wiring)
	a, err := app.Create(ctx, wiring)
	if err != nil {
		return nil, errors.Join(err, closeAll(listener, metrics, redirects))
	}
	secure, err := listener, a.CheckReady(ctx)
	if err == nil {
		secure, err = a.Secure(ctx, listener)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close(), listener.Close())
	}
	return &App{options: o, app: a, listener: secure, declared: declared, look: look}, nil
}

// listen listens at every address of the settings. A listener that they do not ask for is nil.
func listen(ctx context.Context, settings Settings, log *slog.Logger) (listener, metrics, redirects net.Listener, err error) {
	if listener, err = app.Listen(ctx, settings, log); err == nil {
		if metrics, err = app.ListenForMetrics(ctx, settings); err == nil {
			redirects, err = app.ListenForRedirects(ctx, settings)
		}
	}
	return listener, metrics, redirects, err
}

func closeAll(listeners ...net.Listener) (err error) {
	for _, l := range listeners {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// Close ends what runs beside the requests, waits for what is still to be recorded, and closes the database and the
// listener. Call it after Serve has returned, or in place of it. A second call does nothing.
func (a *App) Close() error {
	if a.closed.Swap(true) {
		return nil
	}
	err := a.app.Close()
	_ = a.listener.Close() // Serve has closed it, if it ran
	a.endLog()
	return err
}

// URL is the address by which clients know the server, without a slash at the end: SESAME_PUBLIC_URL.
func (a *App) URL() string { return a.app.PublicURL }
