package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/outbound"
	"sesame/server/internal/store"
)

const (
	// sendTime bounds one request, with the reading of the answer.
	sendTime = 15 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes: only so that the connection can be used again. Nothing of it is kept, since it
	// may hold secrets, and since it would show an administrator the answers of servers that only this one can reach.
	maxAnswer = 4 << 10
)

// The reasons for which an attempt fails. openapi.yaml explains them at DeliveryFault.
const (
	faultAnswer      = "answer" // its status is not 2xx
	faultTimeout     = "timeout"
	faultConnection  = "connection"
	faultTLS         = "tls"
	faultPrivate     = "private_address"
	faultInterrupted = "interrupted"   // the server stopped meanwhile
	faultNoEvent     = "event_deleted" // before it was delivered
	faultSecret      = "secret"        // it cannot be opened with the master key
)

// payload is the body of a delivery.
type payload struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"` // as GET /events shows it
}

// outcome is what an attempt has led to.
type outcome struct {
	status     int           // of the answer; 0 for none
	fault      string        // "" if the event was delivered
	retryAfter time.Duration // what the answer asks for; 0 for nothing
	err        error         // for the log
}

// send makes one attempt to deliver an event. The id of the message is that of the event, and so the same in each attempt.
func (s *Service) send(ctx context.Context, w store.Webhook, e *store.Event) outcome {
	if e == nil {
		return outcome{fault: faultNoEvent, err: errors.New("the event was deleted before it was delivered")}
	}
	data, err := audit.Line(*e)
	var body []byte
	if err == nil {
		body, err = json.Marshal(payload{e.Kind, e.At.UTC(), data})
	}
	if err != nil {
		return outcome{fault: faultNoEvent, err: err}
	}
	now := s.Now()
	signature, err := s.signature(w, e.ID, now, body)
	if err != nil {
		return outcome{fault: faultSecret, err: err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return outcome{fault: faultConnection, err: errors.New("the address is not a URL")}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Sesame-Webhooks")
	request.Header.Set("Webhook-Id", e.ID)
	request.Header.Set("Webhook-Timestamp", seconds(now))
	request.Header.Set("Webhook-Signature", signature)
	response, err := s.client.Do(request)
	if err != nil {
		return outcome{fault: faultOf(ctx, err), err: err}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // the status is the answer, whatever follows
	response.Body.Close()
	o := outcome{status: response.StatusCode}
	if o.status/100 != 2 {
		o.fault, o.err = faultAnswer, errors.New("the receiver answers with status "+strconv.Itoa(o.status))
		o.retryAfter = retryAfter(response)
	}
	return o
}

// retryAfter returns what an answer asks for, if its status is one for which Standard Webhooks considers that.
func retryAfter(response *http.Response) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	n, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, longestPause)
}

// faultOf returns why a request had no answer.
func faultOf(ctx context.Context, err error) string {
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		return faultInterrupted
	case errors.Is(err, outbound.ErrPrivate):
		return faultPrivate
	case errors.As(err, &timeout) && timeout.Timeout():
		return faultTimeout
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return faultTLS
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return faultTLS
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return faultTLS
	}
	return faultConnection
}
