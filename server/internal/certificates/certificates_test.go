package certificates

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

const host = "login.example.com"

func newManager(t *testing.T, db *store.DB) *Manager {
	t.Helper()
	master, err := token.MakeMasterKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(db, master, Settings{
		Directory: "https://ca.example/dir", Host: host, HTTP: true, Now: time.Now, Every: time.Hour, Log: slog.New(slog.DiscardHandler),
		Attempted: func(string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A handshake looks at the database for one thing alone: the challenge of the one host, and that at most once in a while.
// Without a database, a further look would end the test with a panic.
func TestHandshakesDoNotReadTheDatabase(t *testing.T) {
	t.Parallel()
	m := newManager(t, nil)
	m.answered.at, m.answered.err = time.Now(), errNoChallenge // somebody has just asked
	for _, c := range []struct {
		name      string
		protocols []string
		err       error
		unnamed   bool
	}{
		{name: "", unnamed: true},
		{name: "", protocols: []string{acme.ALPNProto}, unnamed: true},
		{name: host, err: errNoCertificate},
		{name: "LOGIN.example.com", err: errNoCertificate},
		{name: host, protocols: []string{acme.ALPNProto, "h2"}, err: errNoCertificate},
		{name: host, protocols: []string{acme.ALPNProto}, err: errNoChallenge},
		{name: "other.example", protocols: []string{acme.ALPNProto}},
		{name: "other.example"},
		{name: "x." + host},
	} {
		got, err := m.GetCertificate(&tls.ClientHelloInfo{ServerName: c.name, SupportedProtos: c.protocols})
		if !errors.Is(err, c.err) || (got == m.unnamed) != c.unnamed || !c.unnamed && got != nil {
			t.Errorf("%q %v: %v, %v", c.name, c.protocols, got, err)
		}
	}
}

// The pauses keep to the limit of Let's Encrypt, five failed validations an hour, from the first attempt on.
func TestAtMostFiveAttemptsAnHour(t *testing.T) {
	t.Parallel()
	var begun []time.Duration
	for failures, at := 0, time.Duration(0); at < 48*time.Hour; failures++ {
		begun = append(begun, at)
		at += pause(failures)
		if pause(failures) <= attemptTime {
			t.Errorf("after %d failures, the next attempt may begin before the last one has ended", failures)
		}
	}
	for i := range begun {
		within := 0
		for _, at := range begun[i:] {
			if at < begun[i]+time.Hour {
				within++
			}
		}
		if within > 5 {
			t.Errorf("%d attempts begin in the hour from %v", within, begun[i])
		}
	}
	if len(begun) < 40 {
		t.Errorf("only %d attempts in two days", len(begun))
	}
}

// A pause that a clock far ahead has stored is stale.
func TestAPauseIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	if store.Pending(now.Add(longestWait+time.Hour), now, longestWait) || !store.Pending(now.Add(longestWait), now, longestWait) {
		t.Error("the longest pause is not longestWait")
	}
}
