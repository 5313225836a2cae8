package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"sesame/server/internal/auth"
	"sesame/server/internal/config"
	"sesame/server/internal/mail"
	"sesame/server/internal/password"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// parts are what serve and the account commands have in common.
type parts struct {
	db     *store.DB
	master token.MasterKey
	hasher *password.Hasher
	keys   *auth.Keys
	outbox *auth.Outbox
}

// create opens the database for serve and migrate: it makes the SQLite file, the master key and the first
// signing key where there are none, and brings the schema up to date.
func (p *program) create() (*parts, error) { return p.openAs(true) }

// open opens the database for every other command. It makes nothing: in the wrong folder, an empty database
// would be taken for one that has lost its accounts.
func (p *program) open() (*parts, error) { return p.openAs(false) }

// openAs checks everything that it can before it writes anything.
func (p *program) openAs(creates bool) (*parts, error) {
	hasher, err := p.hasher()
	if err != nil {
		return nil, err
	}
	if err = p.checkDatabase(creates); err != nil {
		return nil, err
	}
	master, err := p.masterKey(creates)
	if err != nil {
		return nil, err
	}
	db, err := p.openDatabase(creates)
	if err != nil {
		return nil, err
	}
	keys, err := auth.OpenKeys(p.ctx, db, master, auth.KeySettings{
		Alg: p.SigningAlg, Rotation: p.KeyRotation.Duration, TokenTTL: p.AccessTokenTTL.Duration, Now: p.Now, Existing: !creates,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &parts{db: db, master: master, hasher: hasher, keys: keys, outbox: auth.NewOutbox(master, p.Now)}, nil
}

// openDatabase opens a database with the schema of this program.
func (p *program) openDatabase(creates bool) (db *store.DB, err error) {
	if creates {
		if db, err = store.Create(p.ctx, p.DatabaseURL.Reveal()); err == nil {
			_, err = db.Migrate(p.ctx, func(warning string) { fmt.Fprintln(p.Stderr, "sesame:", warning) })
		}
	} else {
		if db, err = store.Open(p.ctx, p.DatabaseURL.Reveal()); err == nil {
			err = db.CheckSchema(p.ctx)
		}
	}
	if err != nil && db != nil {
		err = errors.Join(err, db.Close())
	}
	return db, err
}

// checkDatabase looks at the files of an SQLite database before they are opened or made.
func (p *program) checkDatabase(creates bool) error {
	file, ok := store.SQLitePath(p.DatabaseURL.Reveal())
	if !ok {
		return nil
	}
	exists, err := store.CheckFiles(file)
	if err != nil || creates {
		return err
	}
	if info, err := os.Stat(file); exists && err == nil && info.Size() == 0 {
		return fmt.Errorf("the database %s is empty; make its tables with: sesame migrate (sesame serve does it too)", absolute(file))
	}
	if !exists {
		return fmt.Errorf("there is no database %s; name yours with %s, or make one with: sesame migrate (sesame serve makes one too)",
			absolute(file), config.Variable("database-url"))
	}
	return nil
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
func (p *program) masterKey(creates bool) (token.MasterKey, error) {
	if !p.MasterKey.Empty() {
		key, err := token.ParseMasterKey(p.MasterKey.Reveal())
		if err != nil {
			err = fmt.Errorf("%s: %w", config.Variable("master-key"), err)
		}
		return key, err
	}
	// Before the key, which another process that starts now makes before it writes to the database.
	database, _ := store.SQLitePath(p.DatabaseURL.Reveal())
	info, err := os.Stat(database)
	written := err == nil && info.Size() > 0
	file := p.InForce(p.Listen).MasterKeyFile
	key, err := token.ReadMasterKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if p.MasterKeyFile == file { // given, and perhaps mistyped
		return key, fmt.Errorf("there is no master key file %s; %s names it", file, config.Variable("master-key-file"))
	}
	if !creates || written {
		return key, fmt.Errorf("the database %s is here but its master key %s is not; put the file back, or give %s",
			absolute(database), absolute(file), config.Variable("master-key"))
	}
	return token.MakeMasterKey(file)
}

// service makes the domain. log may be nil.
func (p *program) service(parts *parts, scopes []string, log *slog.Logger) *auth.Service {
	issuer := token.NewIssuer(p.PublicURL, p.Audience, parts.keys, p.Now)
	return auth.New(parts.db, parts.hasher, issuer, token.NewRefresher(parts.master), auth.Settings{
		Scopes: scopes, AccessTTL: p.AccessTokenTTL.Duration, RefreshIdle: p.RefreshIdleTTL.Duration,
		RefreshTTL: p.RefreshTTL.Duration, RefreshGrace: p.RefreshGrace.Duration,
		RegistrationClosed: p.Registration == "closed", RegistrationLimit: p.RegistrationLimit.Value, Now: p.Now, Blind: token.NewBlind(parts.master), Cursors: token.NewCursors(parts.master),
		EventRetention: p.EventRetention.Duration,
		Outbox:         parts.outbox, NewLoginMails: p.NewLoginMails == "on",
		ConfirmURL: p.VerifyURL, ResetURL: p.ResetURL, Log: log,
	})
}

// dispatcher makes what sends the mails in the outbox, but for the outbox and the database, by the settings in
// force. It fails for templates that cannot be used.
func (p *program) dispatcher(s config.Settings, log *slog.Logger) (*auth.Dispatcher, error) {
	templates, err := mail.NewTemplates(s.MailTemplates, s.PublicURL)
	if err != nil {
		return nil, err
	}
	var sender mail.Sender = mail.Log{To: log}
	if !s.MailsToLog() {
		if sender, err = mail.NewSMTP(s.SMTPURL, s.MailFrom); err != nil {
			return nil, err
		}
	}
	return &auth.Dispatcher{Sender: sender, Templates: templates, Log: log}, nil
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
func tidy(ctx context.Context, service *auth.Service, log *slog.Logger) {
	ticker := time.NewTicker(10 * time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if _, err := service.Tidy(ctx); err != nil && ctx.Err() == nil {
				log.Error("cleanup failed", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
