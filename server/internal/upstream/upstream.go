// Package upstream signs people in through others: any issuer of OpenID Connect, found by its discovery document, and GitHub.
//
//	providers := upstream.New(db, master, id, upstream.Settings{PublicURL: "https://login.example.com", …})
//	err := providers.Start(ctx)
//	begun, err := providers.Begin(ctx, "keycloak", upstream.Wish{…}) // redirect to begun.Address, keep begun.Cookie
//	answer, err := providers.Finish(ctx, "keycloak", cookie, query)  // answer.Person is (issuer, subject)
//
// The way through it: providers.go is what operators do with providers. flow.go is a sign-in from its beginning to the person, with
// oidc.go and github.go for the two kinds of providers. client.go makes the requests to them, whose answers are hostile until they are
// checked. Package account finds or makes the account of the person.
package upstream

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sesame/server/internal/identity"
	"sesame/server/internal/outbound"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// Settings are the choices of the operator.
type Settings struct {
	PublicURL string // no trailing slash
	// Private allows providers at private network addresses, and plain http.
	Private bool
	Timeout time.Duration // of one request to a provider; default: five seconds
	Cursors token.Cursors
	Log     *slog.Logger
}

// Service signs people in through providers. It is safe for concurrent use.
type Service struct {
	db       *store.DB
	identity *identity.Service
	secrets  token.Sealer
	flows    token.Sealer
	client   *http.Client
	// addresses are those that the client connects to.
	addresses outbound.Policy
	now       func() time.Time
	Settings

	mu         sync.Mutex
	discovered map[string]*discovery // by issuer
	readings   map[string]*reading   // by issuer
}

// New makes a Service. It takes the clock from id.
func New(db *store.DB, master token.MasterKey, id *identity.Service, s Settings) *Service {
	s.Log = cmp.Or(s.Log, slog.New(slog.DiscardHandler))
	addresses := addressesOf(s.Private)
	return &Service{
		db: db, identity: id, now: id.Now, Settings: s,
		secrets: token.NewSealer(master, "providers"), flows: token.NewSealer(master, "sign-in at a provider"),
		addresses: addresses, client: addresses.NewClient(cmp.Or(s.Timeout, 5*time.Second), maxBody), discovered: map[string]*discovery{}, readings: map[string]*reading{},
	}
}

// Start seals with the master key the client secrets that the second one has sealed.
func (s *Service) Start(ctx context.Context) error {
	rows, err := s.db.ListProviders(ctx)
	for _, row := range rows {
		sealed, changed := s.secrets.Reseal(row.ClientSecret, sealName(row))
		if row.ClientSecret == "" || !changed {
			continue
		}
		if err = s.db.ReplaceProviderSecret(ctx, row.Name, row.ClientSecret, sealed); store.IgnoreNotFound(err) != nil {
			return err
		}
		err = nil
		s.Log.Info("secret of a provider sealed with the new master key", "provider", row.Name)
	}
	return err
}

// sealName binds a client secret to its row, and to the issuer that it is sent to.
func sealName(p store.Provider) string { return "client secret " + p.Name + " " + p.Issuer }

// RedirectURI is where a provider sends people back to. Each has its own (RFC 9700 §4.4.2).
func (s *Service) RedirectURI(provider string) string {
	return s.PublicURL + "/sign-in/" + provider + "/callback"
}
