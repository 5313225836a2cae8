package upstream

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// While a provider is slow, the sign-ins that wait for its discovery document have one connection to it. If
// the person of the first one gives up, another one reads it.
func TestSlowDiscoveryIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const issuer = "https://accounts.example.com"
		document := `{"issuer":"` + issuer + `","authorization_endpoint":"` + issuer + `/a","token_endpoint":"` + issuer + `/t","jwks_uri":"` + issuer + `/k"}`
		var requests, found atomic.Int32
		slow := make(chan struct{})
		s := &Service{now: time.Now, discovered: map[string]*discovery{}, readings: map[string]*reading{}, client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			requests.Add(1)
			select {
			case <-slow:
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(document)), Request: r}, nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})}}
		first, giveUp := context.WithCancel(t.Context())
		begin := func(ctx context.Context) {
			if d, err := s.discover(ctx, issuer); err == nil && d.metadata.TokenEndpoint == issuer+"/t" {
				found.Add(1)
			}
		}
		go begin(first)
		synctest.Wait()
		for range 50 {
			go begin(t.Context())
		}
		synctest.Wait()
		if requests.Load() != 1 {
			t.Errorf("%d requests at once", requests.Load())
		}
		giveUp()
		synctest.Wait()
		close(slow)
		synctest.Wait()
		if requests.Load() != 2 || found.Load() != 50 {
			t.Errorf("%d requests, and %d documents for 50 sign-ins", requests.Load(), found.Load())
		}
	})
}
