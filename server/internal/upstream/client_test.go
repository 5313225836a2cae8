package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sesame/server/internal/outbound"
)

// A provider that does not answer, or answers without an end, costs a bounded time.
func TestSlowProviders(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/drips/.well-known/openid-configuration" {
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}))
	defer slow.Close()
	defer close(ended)
	policy := outbound.Policy{Private: true}
	s := &Service{addresses: policy, client: policy.NewClient(50*time.Millisecond, maxBody), now: time.Now, discovered: map[string]*discovery{}, readings: map[string]*reading{}}
	for _, issuer := range []string{slow.URL, slow.URL + "/drips"} {
		if _, err := s.discover(t.Context(), issuer); !errors.Is(err, ErrProvider) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	s.client = policy.NewClient(time.Hour, maxBody)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as when the person gives up
	if _, err := s.discover(ctx, slow.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
