package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"sesame/server/auth"
	"sesame/server/mail"
	"sesame/server/password"
	"sesame/server/store"
	"sesame/server/token"
)

// parts are what serve and the account commands have in common.
type parts struct {
	db     *store.DB
	master token.MasterKey
	hasher *password.Hasher
	keys   *auth.Keys
	outbox *auth.Outbox
}

// open opens the database, brings its schema up to date, and opens the signing keys in it.
func (p *program) open() (*parts, error) {
	master, err := p.masterKey()
	if err != nil {
		return nil, err
	}
	hasher, err := p.hasher()
	if err != nil {
		return nil, err
	}
	db, err := store.Open(p.ctx, p.DatabaseURL.Reveal())
	if err != nil {
		return nil, err
	}
	if _, err = db.Migrate(p.ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	keys, err := auth.OpenKeys(p.ctx, db, master, auth.KeySettings{
		Alg: p.SigningAlg, Rotation: p.KeyRotation.Duration, TokenTTL: p.AccessTokenTTL.Duration, Now: p.now,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &parts{db: db, master: master, hasher: hasher, keys: keys, outbox: auth.NewOutbox(master, p.now)}, nil
}

// hasher makes the hasher, with the policy for new passwords.
func (p *program) hasher() (*password.Hasher, error) {
	var breached *password.BreachList
	if p.PasswordBreachList != "" {
		var err error
		if breached, err = password.OpenBreachList(p.PasswordBreachList); err != nil {
			return nil, err
		}
	}
	return password.New(p.PasswordHash, password.NewPolicy(p.PasswordMinLength.Value, breached))
}

// masterKey finds the master key where the settings say, or makes it beside a new SQLite file.
func (p *program) masterKey() (token.MasterKey, error) {
	if !p.MasterKey.Empty() {
		return token.ParseMasterKey(p.MasterKey.Reveal())
	}
	file := p.InForce(p.Listen).MasterKeyFile
	key, err := token.ReadMasterKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if p.MasterKeyFile == file { // given, and perhaps mistyped
		return key, fmt.Errorf("there is no master key file %s", file)
	}
	database, _ := store.SQLitePath(p.DatabaseURL.Reveal())
	if info, err := os.Stat(database); err == nil && info.Size() > 0 {
		return key, fmt.Errorf("the database %s is here but its master key %s is not; put the file back, or give %s", database, file, variable("master-key"))
	}
	return token.MakeMasterKey(file)
}

// service makes the domain.
func (p *program) service(parts *parts, scopes []string) *auth.Service {
	issuer := token.NewIssuer(p.PublicURL, p.Audience, parts.keys, p.now)
	return auth.New(parts.db, parts.hasher, issuer, token.NewRefresher(parts.master), auth.Settings{
		Scopes: scopes, AccessTTL: p.AccessTokenTTL.Duration, RefreshIdle: p.RefreshIdleTTL.Duration,
		RefreshTTL: p.RefreshTTL.Duration, RefreshGrace: p.RefreshGrace.Duration,
		RegistrationClosed: p.Registration == "closed", RegistrationLimit: p.RegistrationLimit.Value, Now: p.now, Blind: token.NewBlind(parts.master), Cursors: token.NewCursors(parts.master),
		EventRetention: p.EventRetention.Duration,
		Outbox:         parts.outbox, NewLoginMails: p.NewLoginMails == "on",
		ConfirmURL: p.VerifyURL, ResetURL: p.ResetURL,
	})
}

// sendMails starts to send what is in the outbox. The function that it returns waits until that has
// stopped; it stops when the program is told to, or then.
func (p *program) sendMails(parts *parts, log *slog.Logger) (finish func(), err error) {
	templates, err := mail.NewTemplates(p.MailTemplates, p.PublicURL)
	if err != nil {
		return nil, err
	}
	var sender mail.Sender = mail.Log{To: log}
	if !p.SMTPURL.Empty() {
		if sender, err = mail.NewSMTP(p.SMTPURL, p.MailFrom); err != nil {
			return nil, err
		}
	}
	ctx, stop := context.WithCancel(p.ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		(&auth.Dispatcher{Outbox: parts.outbox, DB: parts.db, Sender: sender, Templates: templates, Log: log}).Run(ctx)
	}()
	return func() { stop(); <-stopped }, nil
}

// tend keeps the signing keys up to date, until the context ends. It looks every second, and there
// is something to do each half minute: a clock that is set forward, or a machine that wakes up, is
// noticed at once.
func tend(ctx context.Context, keys *auth.Keys, log *slog.Logger) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := keys.Tend(ctx); err != nil && ctx.Err() == nil {
				log.Error("the signing keys could not be read or changed", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// tidy removes what is over now and then, until the context ends.
func tidy(ctx context.Context, service *auth.Service, failed func(error)) {
	ticker := time.NewTicker(10 * time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if _, err := service.Tidy(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		case <-ctx.Done():
			return
		}
	}
}
