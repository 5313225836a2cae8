package certificates

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
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

// Handshakes that wait while the database is slow share the next reading. If each made its own, a stranger could have any number of
// them wait for each other, and the authority would wait behind them.
func TestHandshakesThatWaitShareAReading(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	m := newManager(t, db)
	m.Every = 0 // a reading is shared by those alone who asked before it began
	row := store.Certificate{Directory: m.Directory, Host: m.Host}
	pair := m.unnamed
	text, err := encode(pair.PrivateKey, pair.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(challenge{PEM: text})
	if err != nil {
		t.Fatal(err)
	}
	if err = errors.Join(db.AddCertificate(t.Context(), row.Directory, row.Host),
		db.SetChallenge(t.Context(), row, m.sealer.Seal(answer, sealName("challenge", row)))); err != nil {
		t.Fatal(err)
	}
	const handshakes = 20
	answers := make(chan *tls.Certificate, handshakes)
	m.answered.Lock() // as a reading does
	for range handshakes {
		go func() {
			got, err := m.currentChallenge(t.Context())
			if err != nil {
				t.Error(err)
			}
			answers <- got.certificate
		}()
	}
	for waiting := 0; waiting < handshakes; runtime.Gosched() {
		var stacks bytes.Buffer
		if err = pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
			t.Fatal(err)
		}
		waiting = 0
		for stack := range bytes.SplitSeq(stacks.Bytes(), []byte("\n\n")) {
			if bytes.Contains(stack, []byte("sync.Mutex.Lock")) && bytes.Contains(stack, []byte("currentChallenge")) {
				waiting++
			}
		}
	}
	m.answered.Unlock()
	readings := map[*tls.Certificate]bool{} // each makes its own certificate
	for range handshakes {
		readings[<-answers] = true
	}
	if len(readings) != 1 {
		t.Errorf("%d handshakes made %d readings", handshakes, len(readings))
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

// An authority that refuses requests for a while is left alone for as long, but for a day at most.
func TestAnAuthorityAsksForAPause(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]time.Duration{"7200": 2 * time.Hour, "1": firstPause, "999999999": longestWait, "nonsense": firstPause} {
		requests := 0
		mux := http.NewServeMux()
		authority := httptest.NewTLSServer(mux)
		defer authority.Close()
		mux.HandleFunc("GET /dir", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"newNonce":"%[1]s/nonce","newAccount":"%[1]s/account","newOrder":"%[1]s/order"}`, authority.URL)
		})
		mux.HandleFunc("/nonce", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Replay-Nonce", "n") })
		mux.HandleFunc("POST /account", func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.Header().Set("Retry-After", asked)
			w.Header().Set("Replay-Nonce", "n")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}`))
		})
		m := newManager(t, migrated(t))
		now := time.Now()
		m.Directory, m.Client, m.Now = authority.URL+"/dir", authority.Client(), func() time.Time { return now }
		for range 3 {
			if err := m.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		row, err := m.readRow(t.Context())
		if got := row.AttemptAt.Sub(now).Round(time.Second); err != nil || got != want || requests != 1 || row.Failures != 1 {
			t.Errorf("%v: for Retry-After %s the pause is %v, want %v, after %d requests", err, asked, got, want, requests)
		}
	}
}

// An answer of an authority, or of a server in its place, that does not end takes a limited amount of memory.
func TestAnAnswerThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"directory": http.StatusOK, "error": http.StatusForbidden} {
		var sent atomic.Int64
		authority := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, err := w.Write([]byte(`{"newNonce":"`))
			for block := bytes.Repeat([]byte("x"), 64<<10); err == nil && sent.Load() < 64<<20; {
				_, err = w.Write(block)
				sent.Add(int64(len(block)))
			}
		}))
		m := newManager(t, migrated(t))
		m.Directory, m.Client = authority.URL, authority.Client()
		if err := m.step(t.Context()); err != nil {
			t.Error(err)
		}
		authority.Close() // waits for the answer
		if got := sent.Load(); got >= 64<<20 {
			t.Errorf("%s: %d bytes were read", name, got)
		}
	}
}

func migrated(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Create(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "sesame.db"))
	if err == nil {
		t.Cleanup(func() { db.Close() })
		_, err = db.Migrate(t.Context(), func(string) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	return db
}
