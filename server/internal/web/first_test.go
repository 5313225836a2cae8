package web

import (
	"net/http/httptest"
	"testing"
)

// A request of another machine is not direct, whatever it says; one of this machine is, by every name of it.
func TestWhichRequestsAreDirect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		peer, host string
		direct     bool
	}{
		{"127.0.0.1:40000", "127.0.0.1:8080", true},
		{"[::1]:40000", "[::1]:8080", true},
		{"[::ffff:127.0.0.1]:40000", "localhost:8080", true},
		{"127.0.0.1:40000", "LOCALHOST", true},
		{"127.9.9.9:40000", "127.0.0.1", true},
		{"[::1]:40000", "[::1]", true},
		{"192.0.2.1:40000", "127.0.0.1:8080", false},
		{"[2001:db8::1]:40000", "localhost", false},
		{"10.0.0.1:40000", "localhost", false},
		{"[fe80::1%eth0]:40000", "localhost", false},
		{"", "localhost", false},
		{"@", "localhost", false}, // a socket
		{"127.0.0.1:40000", "localhost.evil.example", false},
		{"127.0.0.1:40000", "evil.localhost.example:8080", false},
		{"127.0.0.1:40000", "0.0.0.0:8080", false},
		{"127.0.0.1:40000", "2130706433", false},
		{"127.0.0.1:40000", "127.1", false},
		{"127.0.0.1:40000", "", false},
		{"127.0.0.1:40000", "localhost.", false},
	} {
		r := httptest.NewRequest("GET", "/first-run", nil)
		r.RemoteAddr, r.Host = c.peer, c.host
		for connection, direct := range map[string]bool{"keep-alive": c.direct, "Keep-Alive": c.direct, "": false, "close": false, "upgrade": false} {
			r.Header.Set("Connection", connection)
			if got := isDirect(r); got != direct {
				t.Errorf("from %q for %q, with Connection: %s: direct is %v", c.peer, c.host, connection, got)
			}
		}
	}
}
