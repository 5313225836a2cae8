package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

// F20: only addresses of the internet are public, however they are written.
func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for text, public := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700:4700::1111": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.255.255.254": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "172.32.0.1": true, "192.168.0.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.127.255.255": false, "0.0.0.0": false, "0.1.2.3": false, "192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::1": false, "::": false, "::7f00:1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "fec0::1": false, "ff02::1": false, "2001:db8::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::a00:1": false, "2002:7f00:1::": false, "2001:0:1::": false, "100::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s: %t", text, got)
		}
	}
	for _, address := range []string{"127.0.0.1:443", "[::1]:443", "localhost:443", "", "8.8.8.8"} {
		if onlyPublic("tcp", address, nil) == nil {
			t.Errorf("%q is connected to", address)
		}
	}
}

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
	s := &Service{Settings: Settings{Private: true}, client: newClient(true, 50*time.Millisecond), now: time.Now, discovered: map[string]*discovery{}, readings: map[string]*reading{}}
	for _, issuer := range []string{slow.URL, slow.URL + "/drips"} {
		if _, err := s.discover(t.Context(), issuer); !errors.Is(err, ErrProvider) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	s.client = newClient(true, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as when the person gives up
	if _, err := s.discover(ctx, slow.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
