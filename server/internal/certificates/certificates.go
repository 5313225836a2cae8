// Package certificates gets the certificate of the server from a certification authority by ACME (RFC 8555), renews it, and
// keeps it in the database, so that all replicas serve the same one.
//
//	m, err := certificates.New(db, master, certificates.Settings{Directory: url, Host: "login.example.com", …})
//	err = m.Start(ctx)                  // reads what the database has
//	config.GetCertificate = m.GetCertificate
//	go m.Run(ctx)                       // requests a certificate when one is due
//
// A handshake never makes a request to the authority: clients choose how many handshakes there are, and the authority limits
// the attempts of an hour. Only Run does so, for the one host of the settings. The database says when the next attempt may
// begin, for all replicas and across restarts (attempt.go); order.go has the steps of one attempt. The authority checks that
// the host is ours by a challenge, which it may send to any replica, so the answer is in the database too (challenge.go).
package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"

	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// Settings are the operator's choices.
type Settings struct {
	Directory string // the URL of the authority
	Host      string // the name in the certificate, in lower case
	HTTP      bool   // whether ServeHTTP is served at port 80 of the host
	Now       func() time.Time
	Every     time.Duration // how often Run looks whether something is due, and the age to which a challenge is remembered
	Log       *slog.Logger
	Client    *http.Client // for requests to the authority; nil for http.DefaultClient
	Attempted func(outcome string)
}

// Outcomes are those of attempts to get a certificate.
var Outcomes = []string{"success", "failure"}

// Manager serves and renews one certificate.
type Manager struct {
	Settings
	db     *store.DB
	sealer token.Sealer

	served   atomic.Pointer[tls.Certificate] // nil until there is one
	unnamed  *tls.Certificate                // for clients that name no host, until there is one
	adopted  string                          // the sealed form of what was last read, for Run alone
	read     time.Time                       // when that was
	waiting  time.Time                       // the time of the next attempt, as last claimed or logged
	answered struct {                        // what was last read of the challenge
		sync.Mutex
		challenge
		err error
		at  time.Time
	}
}

// New makes a Manager. Start comes next.
func New(db *store.DB, master token.MasterKey, s Settings) (*Manager, error) {
	unnamed, err := selfSigned(s.Host)
	if err != nil {
		return nil, err
	}
	return &Manager{Settings: s, db: db, sealer: token.NewSealer(master, "certificates"), unnamed: unnamed}, nil
}

// Start seals with the master key what the second one has sealed, and reads the certificate. So a server that restarts serves
// it from the first handshake on.
func (m *Manager) Start(ctx context.Context) error {
	rows, err := m.db.Certificates(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		account, first := m.sealer.Reseal(row.Account, sealName("account", row))
		certificate, second := m.sealer.Reseal(row.Certificate, sealName("certificate", row))
		if !first && !second {
			continue
		}
		if err = m.db.ReplaceCertificateSecrets(ctx, row, account, certificate); store.IgnoreNotFound(err) != nil {
			return err
		}
		m.Log.Info("certificate sealed with the new master key", "host", row.Host)
	}
	_, err = m.readRow(ctx)
	if err == nil && m.served.Load() == nil {
		m.Log.Info("there is no certificate yet; the server requests one, and refuses connections to its public name until then",
			"host", m.Host, "directory", m.Directory)
	}
	return err
}

// sealName binds a secret to its row and its column.
func sealName(column string, row store.Certificate) string {
	return column + " " + row.Host + " " + row.Directory
}

var errNoCertificate = errors.New("there is no certificate yet")

// GetCertificate returns the certificate for a handshake. It refuses every name but that of the host, without a look at the
// database.
//
// A client that names no host is a probe, which connects to an address and does not verify certificates. It gets the
// certificate, or a self-signed one until there is one: the authority can reach a replica only if it is ready.
func (m *Manager) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	served, name := m.served.Load(), strings.ToLower(hello.ServerName)
	switch {
	case name == "" && served == nil:
		return m.unnamed, nil
	case name == "":
		return served, nil
	case name != m.Host:
		return nil, nil //nolint:nilnil // crypto/tls answers with the alert unrecognized_name
	case len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto: // as RFC 8737 §3 demands
		c, err := m.currentChallenge(hello.Context())
		return c.certificate, err
	case served == nil:
		return nil, errNoCertificate
	}
	return served, nil
}

// Expiry returns the time at which the certificate expires; the zero time if there is none.
func (m *Manager) Expiry() time.Time {
	if served := m.served.Load(); served != nil {
		return served.Leaf.NotAfter
	}
	return time.Time{}
}

// readRow reads the row of the database, and serves its certificate from then on. The row may be empty. A certificate that
// cannot be opened counts as none.
func (m *Manager) readRow(ctx context.Context) (store.Certificate, error) {
	row, err := m.db.Certificate(ctx, m.Directory, m.Host)
	if errors.Is(err, store.ErrNotFound) {
		row, err = store.Certificate{Directory: m.Directory, Host: m.Host, AttemptAt: time.UnixMicro(0)}, nil
	}
	if err != nil {
		return row, err
	}
	m.read = m.Now()
	if row.Certificate == m.adopted {
		return row, nil
	}
	if m.adopted = row.Certificate; m.adopted == "" {
		return row, nil
	}
	text, err := m.sealer.Open(row.Certificate, sealName("certificate", row))
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(text, text); err == nil {
			m.served.Store(&pair)
			m.Log.Info("the certificate was loaded", "host", m.Host, "valid_until", pair.Leaf.NotAfter)
			return row, nil
		}
	}
	m.Log.Warn("the certificate in the database cannot be opened, perhaps because another master key has sealed it; the server requests a new one", "error", err)
	return row, nil
}
