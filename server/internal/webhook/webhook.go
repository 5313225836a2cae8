// Package webhook sends events to servers that an operator has chosen, signed by Standard Webhooks
// (https://www.standardwebhooks.com).
//
//	hooks := webhook.New(db, master, cursors, webhook.Settings{…})
//	hook, secret, err := hooks.Create(ctx, caller, webhook.NewWebhook{URL: "https://shop.example/hooks", Kinds: []string{"login"}})
//	go hooks.Run(ctx) // on every replica
//
// The way through it: a trigger of the database queues a delivery for each webhook that has chosen the kind of an event, in the
// transaction of the event (migration 34 of package store). worker.go claims deliveries, a few for each webhook, so that a receiver that
// is slow or dead delays no other one. send.go makes the request, and sign.go its signature. receiver.go is what a replica remembers of
// a receiver, and maintain.go bounds the queues and disables receivers that have failed for days. webhooks.go and deliveries.go are what
// operators do.
package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sesame/server/internal/outbound"
	"sesame/server/internal/queue"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// Settings are the choices of the operator, and what the package takes from the wiring.
type Settings struct {
	// Private allows receivers at private network addresses, and plain http.
	Private bool
	Now     func() time.Time
	Log     *slog.Logger
	Every   time.Duration // how often Run asks the database
	// Attempted counts the attempts to deliver, by Outcomes. It may be nil.
	Attempted func(outcome string)
}

// Service manages webhooks, and delivers events to them. It is safe for concurrent use.
type Service struct {
	db        *store.DB
	secrets   token.Sealer
	cursors   token.Cursors
	addresses outbound.Policy
	client    *http.Client
	bell      queue.Bell
	active    atomic.Bool // whether there is a webhook that is not disabled, as of the last maintenance
	Settings

	mu         sync.Mutex
	receivers  map[string]*receiver // by the id of the webhook
	maintained time.Time
}

// New makes a Service.
func New(db *store.DB, master token.MasterKey, cursors token.Cursors, s Settings) *Service {
	addresses := outbound.Policy{Private: s.Private, Whose: "receiver", Setting: "SESAME_PRIVATE_WEBHOOKS"}
	return &Service{
		db: db, secrets: token.NewSealer(master, "webhooks"), cursors: cursors, addresses: addresses,
		client: addresses.NewClient(sendTime, maxAnswer), bell: queue.NewBell(), Settings: s, receivers: map[string]*receiver{},
	}
}

// Start seals with the master key the secrets that the second one has sealed.
func (s *Service) Start(ctx context.Context) error {
	rows, err := s.db.ListWebhooks(ctx, "", maxWebhooks)
	for _, row := range rows {
		secret, changed := s.secrets.Reseal(row.Secret, sealName(row.ID))
		old, oldChanged := row.OldSecret, false
		if old != "" {
			old, oldChanged = s.secrets.Reseal(old, sealName(row.ID))
		}
		if !changed && !oldChanged {
			continue
		}
		if err = s.db.ReplaceWebhookSecrets(ctx, row, secret, old); store.IgnoreNotFound(err) != nil {
			return err
		}
		err = nil
		s.Log.Info("secrets of a webhook sealed with the new master key", "webhook", row.ID)
	}
	return err
}

// Wake makes Run of this process look for deliveries at once, if there are webhooks.
func (s *Service) Wake() {
	if s.active.Load() {
		s.bell.Ring()
	}
}
