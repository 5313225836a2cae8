// Package logout sends logout tokens to clients when sessions end (OpenID Connect Back-Channel Logout 1.0).
//
//	worker := &logout.Worker{DB: db, IDs: ids, Now: time.Now, Log: log, Every: time.Second}
//	go worker.Run(ctx)
//
// The database queues a logout in the transaction that ends a session of a client with an address for it (migration 21 of package
// store). Every replica runs a Worker; each logout is claimed by one of them. One that fails is tried again, with longer and longer
// pauses.
package logout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/queue"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

const (
	// maxSending bounds the requests at once.
	maxSending = 8
	// sendTime bounds one request, and lease is how long no other replica claims the logout.
	sendTime = 5 * time.Second
	lease    = time.Minute
	// finishTime bounds the wait for logout tokens that are being sent when the server stops.
	finishTime = 8 * time.Second
	// A logout that fails is due again after firstPause, doubling to store.LongestLogoutPause. After maxAttempts, in about five
	// hours, it is dropped.
	firstPause  = 10 * time.Second
	maxAttempts = 13
	// tokenTTL is how long a logout token is valid (§2.6 recommends two minutes at most).
	tokenTTL = 2 * time.Minute
)

// Worker sends logout tokens to the clients.
type Worker struct {
	DB    *store.DB
	IDs   *token.IDIssuer
	Now   func() time.Time
	Log   *slog.Logger
	Every time.Duration // how often it asks the database for logouts that are due
	// Attempted counts the attempts to send a logout token, by Outcomes. It may be nil.
	Attempted func(outcome string)
}

// Outcomes of an attempt to send a logout token.
const (
	sent    = "sent"
	dropped = "dropped" // the client refuses it, or has not accepted it for hours
	retried = "retried"
)

// Outcomes are the values of Worker.Attempted.
var Outcomes = []string{sent, dropped, retried}

func (w *Worker) attempted(outcome string) {
	if w.Attempted != nil {
		w.Attempted(outcome)
	}
}

// Run sends logout tokens until ctx ends. It returns when the requests that it has sent are answered, or after finishTime.
func (w *Worker) Run(ctx context.Context) {
	// An operator has chosen the addresses, and nobody chooses them by a redirect. No answer is read.
	client := &http.Client{
		Timeout:       sendTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: sendTime}).DialContext, TLSHandshakeTimeout: sendTime,
			ResponseHeaderTimeout: sendTime, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, MaxIdleConns: maxSending, IdleConnTimeout: time.Minute,
		},
	}
	defer client.CloseIdleConnections()
	worker := &queue.Worker[store.Logout]{
		What: "logouts", Claim: w.DB.ClaimLogouts, Max: maxSending, Lease: lease, WorkTime: sendTime, FinishTime: finishTime,
		Every: w.Every, Now: w.Now, Log: w.Log,
	}
	worker.Do = func(ctx context.Context, l store.Logout) { w.deliver(ctx, worker, client, l) }
	worker.Run(ctx)
}

// errDrop is the error for a logout that no attempt can deliver.
var errDrop = errors.New("the client refuses the logout token")

// deliver sends a logout token, and records the outcome.
func (w *Worker) deliver(ctx context.Context, worker *queue.Worker[store.Logout], client *http.Client, l store.Logout) {
	needed, err := w.send(ctx, client, l)
	now, log := w.Now(), w.Log.With("client_id", l.ClientID, "session_id", l.SessionID, "attempts", l.Attempts)
	switch {
	case err == nil:
		if needed {
			w.attempted(sent)
		}
	case errors.Is(err, errDrop) || l.Attempts >= maxAttempts:
		log.Error("a logout token was dropped", "error", err)
		w.attempted(dropped)
	default:
		next := now.Add(queue.Pause(l.Attempts, firstPause, store.LongestLogoutPause))
		log.Warn("sending a logout token failed and will be retried", "error", err, "retry_at", next)
		w.attempted(retried)
		worker.Record(ctx, func(ctx context.Context) error { return w.DB.RetryLogout(ctx, l, next) })
		return
	}
	worker.Record(ctx, func(ctx context.Context) error { return w.DB.DeleteLogout(ctx, l.SessionID) })
}

// send sends a logout token (§2.5), where one is needed: none for a session that has expired, since the client knows when that is.
func (w *Worker) send(ctx context.Context, client *http.Client, l store.Logout) (needed bool, err error) {
	row, err := w.DB.ClientByID(ctx, l.ClientID)
	if store.IgnoreNotFound(err) != nil {
		return true, err
	}
	if row.LogoutURI == "" || !l.ExpiresAt.After(w.Now()) {
		return false, nil
	}
	return true, w.post(ctx, client, row.LogoutURI, l)
}

// post sends a logout token to an address.
func (w *Worker) post(ctx context.Context, client *http.Client, address string, l store.Logout) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	now := w.Now()
	text, err := w.IDs.SignLogout(token.Logout{
		ID: id.String(), Subject: l.UserID, ClientID: l.ClientID, SessionID: l.SessionID, IssuedAt: now, ExpiresAt: now.Add(tokenTTL),
	})
	if err != nil {
		return err
	}
	body := strings.NewReader(url.Values{"logout_token": {text}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err // without the address, which may hold a secret
	}
	if err != nil {
		return err
	}
	response.Body.Close()
	switch status := response.StatusCode; {
	case status/100 == 2:
		return nil
	case status == http.StatusBadRequest: // §2.8
		return errDrop
	default:
		return fmt.Errorf("the client answers with status %d", status)
	}
}
