// Package app is the wiring of the login server without its HTTP layer: it opens the database, finds the master
// key, reads the signing keys and makes the domain. Package login puts HTTP in front of it, and the commands of
// package cli use it as it is.
//
//	a, err := app.Create(ctx, app.Options{Settings: settings})
//	defer a.Close()
//	services := a.MakeServices(rules) // the compiled contract
//
// Whatever it opens, Close closes; whatever goroutine it starts, Close waits for.
package app

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/certificates"
	"sesame/server/internal/cleanup"
	"sesame/server/internal/config"
	"sesame/server/internal/identity"
	"sesame/server/internal/keys"
	"sesame/server/internal/logout"
	"sesame/server/internal/mailer"
	"sesame/server/internal/password"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/tracing"
)

// Options are the settings and what the program takes from its process.
type Options struct {
	config.Settings
	Listening string           // HOST:PORT in place of the setting, where its port is 0
	Version   string           // of the program; default: that of the main module
	Now       func() time.Time // default: time.Now
	Log       *slog.Logger     // default: none
	Warn      func(string)     // for what a person should know of a migration; default: Log
	// OwnLog is Log, if NewLog has made it. Signals change its level.
	OwnLog *Log
	Stdout io.Writer // for SESAME_EVENT_LOG=stdout; default: os.Stdout
	// MetricsListener is where Start serves metrics; nil for nowhere. Close closes it.
	MetricsListener net.Listener
	// RedirectListener is where Start redirects plain HTTP; nil for nowhere. Close closes it.
	RedirectListener net.Listener
	Tests            Tests
}

// Tests is what only tests choose. No setting reaches it.
type Tests struct {
	// CheapHashes makes password hashes cost next to nothing.
	CheapHashes bool
	// HashBegun is called when a cheap hash has got a core, which it may keep busy. It may be nil.
	HashBegun func()
	// FirstIDKey makes the first key of ID tokens; nil for token.GenerateKey. An RSA key costs more than all else of a start.
	FirstIDKey func(alg string) (token.Key, error)
	// Every replaces the second after which the server looks whether there is something to do for the signing keys and
	// the mails. It also says that the process holds many servers, whose memory is not to be collected for each.
	Every time.Duration
	// Authority makes the requests to the certification authority of a test.
	Authority *http.Client
	// DocumentRoots are the authorities of the hosts of client ID metadata documents; nil for those of the system.
	DocumentRoots *x509.CertPool
}

// App is an open login server. Its settings are those in force.
type App struct {
	Options
	DB      *store.DB
	Keys    *keys.Keys // of access tokens
	IDKeys  *keys.Keys // of ID tokens
	Metrics *Metrics
	Tracer  *tracing.Tracer // nil for none; only after Create

	StartedAt time.Time // when the database was opened

	keyFileGiven bool // whether the settings name the file of the master key

	master   token.MasterKey
	hasher   *password.Hasher
	outbox   *mailer.Outbox
	mails    *mailer.Dispatcher // only after Create
	eventLog *audit.Stream      // nil for none
	// certificates is nil unless SESAME_ACME is on, and expiry is nil unless the server speaks HTTPS itself.
	certificates *certificates.Manager
	expiry       func() time.Time
	services     *Services // once they are made
	workers      sync.WaitGroup
	stop         context.CancelFunc // ends the workers, once they are started
}

// Create opens the database for serve and migrate: it makes the SQLite file, the master key and the first
// signing key where there are none, and migrates the schema.
func Create(ctx context.Context, o Options) (*App, error) { return open(ctx, o, true) }

// Open opens the database for every other command. It makes nothing: in the wrong folder, an empty database
// would be mistaken for one that has lost its accounts.
func Open(ctx context.Context, o Options) (*App, error) { return open(ctx, o, false) }

// open checks everything that it can before it writes anything.
func open(ctx context.Context, o Options, creates bool) (*App, error) {
	a := &App{Options: o, Metrics: newMetrics(), keyFileGiven: o.MasterKeyFile != "", stop: func() {}}
	a.Settings = o.InForce(cmp.Or(o.Listening, o.Listen))
	if a.Now == nil {
		a.Now = time.Now
	}
	a.StartedAt = a.Now()
	a.Log = cmp.Or(a.Log, slog.New(slog.DiscardHandler))
	if a.Warn == nil {
		a.Warn = func(text string) { a.Log.Warn(text) }
	}
	traces, err := a.Traces.Options()
	if err != nil {
		return nil, err
	}
	if a.hasher, err = a.newHasher(); err != nil {
		return nil, err
	}
	if creates {
		if a.mails, err = a.newDispatcher(); err != nil {
			return nil, err
		}
	}
	if err = a.checkDatabase(creates); err != nil {
		return nil, err
	}
	if a.master, err = a.masterKey(creates); err == nil {
		a.master, err = a.withSecondKey(a.master)
	}
	if err != nil {
		return nil, err
	}
	if err = a.openEventLog(creates); err != nil {
		return nil, err
	}
	if a.DB, err = a.openDatabase(ctx, creates); err != nil {
		return nil, errors.Join(err, a.closeEventLog())
	}
	a.DB.OnEvent(a.recorded)
	a.outbox = mailer.NewOutbox(a.master, a.Now)
	if creates {
		a.mails.Outbox, a.mails.DB = a.outbox, a.DB
	}
	if err = a.openKeys(ctx, !creates); err != nil {
		return nil, errors.Join(err, a.DB.Close(), a.closeEventLog())
	}
	if creates {
		a.trace(traces)
	}
	return a, nil
}

// openKeys reads the signing keys.
func (a *App) openKeys(ctx context.Context, existing bool) (err error) {
	settings := keys.Settings{
		Table: (*store.Queries).AccessTokenKeys, Alg: a.SigningAlg, Rotation: a.KeyRotation.Duration, TokenTTL: a.AccessTokenTTL.Duration,
		Now: a.Now, Existing: existing, Every: a.every(),
	}
	if a.Keys, err = keys.Open(ctx, a.DB, a.master, settings); err != nil {
		return err
	}
	settings.Table, settings.Alg, settings.First = (*store.Queries).IDTokenKeys, a.IDTokenAlg, a.Tests.FirstIDKey
	a.IDKeys, err = keys.Open(ctx, a.DB, a.master, settings)
	return err
}

// CheckReady returns an error unless the database takes writes, brings the signing keys up to date, and seals with the master key
// what the second one has sealed.
func (a *App) CheckReady(ctx context.Context) error {
	if err := a.DB.Ready(ctx); err != nil {
		return fmt.Errorf("the database %s cannot be written to: %w", a.DatabaseName(), err)
	}
	return errors.Join(a.Keys.Start(ctx, a.Log), a.IDKeys.Start(ctx, a.Log), identity.ResealFactors(ctx, a.DB, a.factorSealer(), a.Log))
}

// Start starts what runs beside the requests: sending mails, rotating keys, deleting expired rows. It ends with
// Close. It needs Create and MakeServices.
func (a *App) Start(ctx context.Context) {
	until, stop := context.WithCancel(context.WithoutCancel(ctx)) // the end of the last request: Close comes after it
	ctx, cancel := context.WithCancel(ctx)
	a.stop = func() { cancel(); stop() }
	job := &cleanup.Job{
		DB: a.DB, Accounts: a.services.Accounts, EventRetention: a.EventRetention.Duration, Now: a.Now, Log: a.Log,
		Deleted: func(table string, rows int64) { a.Metrics.cleanupRows.Add(uint64(max(0, rows)), table) },
		Ended:   a.Metrics.cleaned(a.Now),
	}
	if a.MetricsListener != nil {
		a.serveMetrics(until)
	}
	if a.RedirectListener != nil {
		a.serveRedirects(until)
	}
	logouts := &logout.Worker{DB: a.DB, IDs: token.NewIDIssuer(a.PublicURL, a.IDKeys), Now: a.Now, Log: a.Log, Every: a.every(), Attempted: func(outcome string) { a.Metrics.logouts.Add(1, outcome) }}
	jobs := []func(context.Context){a.mails.Run, logouts.Run, a.services.Webhooks.Run, a.Keys.Run, a.IDKeys.Run, job.Run, a.watchDatabase}
	if a.certificates != nil {
		jobs = append(jobs, a.certificates.Run)
	}
	for _, run := range jobs {
		a.workers.Go(func() {
			defer a.flushOnPanic()
			run(ctx)
		})
	}
	a.handleSignals(until)
	if a.Tests.Every == 0 {
		a.workers.Go(freeStartMemory)
	}
}

// every is how often the workers look whether there is something to do.
func (a *App) every() time.Duration { return cmp.Or(a.Tests.Every, time.Second) }

// watchDatabase logs when the files of an SQLite database are lost, and when they are back.
func (a *App) watchDatabase(ctx context.Context) {
	a.DB.Watch(ctx, func(err error) {
		if err != nil {
			a.Log.Error("the database is lost", "error", err)
			return
		}
		a.Log.Info("the files of the database are back; the server accepts writes again")
	})
}

// Close ends the workers, waits for what is still to be recorded, and closes the database.
func (a *App) Close() error {
	a.stop()
	a.workers.Wait()
	for _, listener := range []net.Listener{a.MetricsListener, a.RedirectListener} {
		if listener != nil {
			_ = listener.Close() // its server has closed it, if it ran
		}
	}
	if a.services != nil {
		a.services.Identity.Close()
	}
	a.Tracer.Close() // after the last span
	return errors.Join(a.DB.Close(), a.closeEventLog())
}

// trace starts to send traces, if the operator has named a collector.
func (a *App) trace(o tracing.Options) {
	a.Tracer = tracing.New(o, a.PublicURL, a.Log, a.Metrics.spans())
	a.mails.Tracer = a.Tracer
	if a.Tracer != nil {
		a.Log.Info("sending traces", "collector", o.URL, "sampler", o.Sampler)
	}
}

// flushOnPanic writes what the log buffers before a panic ends the process.
func (a *App) flushOnPanic() {
	if value := recover(); value != nil {
		if a.OwnLog != nil {
			a.OwnLog.Flush()
		}
		panic(value)
	}
}

// newHasher makes the hasher, with the policy for new passwords.
func (a *App) newHasher() (*password.Hasher, error) {
	var breached *password.BreachList
	if a.PasswordBreachList != "" {
		var err error
		if breached, err = password.OpenBreachList(a.PasswordBreachList); err != nil {
			return nil, fmt.Errorf("%s: %w", config.Variable("password-breach-list"), err)
		}
	}
	policy := password.NewPolicy(a.PasswordMinLength.Value, breached)
	create := password.New
	if a.Tests.CheapHashes {
		create = func(scheme string, policy *password.Policy) (*password.Hasher, error) {
			return password.NewForTests(scheme, policy, a.Tests.HashBegun)
		}
	}
	hasher, err := create(a.PasswordHash, policy)
	if err == nil {
		hasher.Watch(a.Metrics.watch())
	}
	return hasher, err
}

// newDispatcher makes what sends the mails in the outbox. It fails for templates that cannot be used.
func (a *App) newDispatcher() (*mailer.Dispatcher, error) {
	templates, err := mailer.NewTemplates(a.MailTemplates, a.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Variable("mail-templates"), err)
	}
	var sender mailer.Sender = mailer.Log{To: a.Log, From: a.MailFrom}
	if !a.MailsToLog() {
		if sender, err = mailer.NewSMTP(a.SMTPURL, a.MailFrom); err != nil {
			return nil, err
		}
	}
	return &mailer.Dispatcher{
		Sender: sender, Templates: templates, Log: a.Log, PollEvery: a.every(),
		Attempted: func(outcome string) { a.Metrics.mails.Add(1, outcome) },
	}, nil
}
