package apitest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

// onTwoReplicas runs a test against two servers on one database, on each engine.
func onTwoReplicas(t *testing.T, test func(t *testing.T, r replicas), settings ...string) {
	t.Helper()
	settings = append(settings, "SESAME_PUBLIC_URL=https://login.example", "SESAME_LOG_LEVEL=debug")
	onEachEngine(t, func(t *testing.T, s *server) {
		test(t, replicas{s, start(t, s.dbURL, settings...)})
	}, settings...)
}

type replicas [2]*server

// keysRead is what a server logs when it has read the keys and taken what steps are due.
const keysRead = "read the signing keys: it is time"

// advance moves the clocks of both, one after the other, by half a minute or more, and waits until
// both have read the keys.
func (r replicas) advance(t *testing.T, d time.Duration) {
	t.Helper()
	r.leap(d)(t)
}

// leap sets the clocks forward, and returns a function that waits until the replicas have read the keys since. Call it
// before the next leap, or the two cannot be told apart.
func (r replicas) leap(d time.Duration) (haveRead func(t *testing.T)) {
	var before [2]int
	for i, s := range r {
		before[i] = strings.Count(s.log.String(), keysRead)
		s.clock.advance(d)
	}
	return func(t *testing.T) {
		t.Helper()
		for i, s := range r {
			until(t, "a replica reads the keys", func() bool { return strings.Count(s.log.String(), keysRead) >= before[i]+2 }) // those of access tokens and of ID tokens
		}
	}
}

// keySet is the JWK set as a verifier fetches it: each key with its algorithm, by kid.
func (s *server) keySet(t *testing.T) map[string]api.Key {
	t.Helper()
	set := map[string]api.Key{}
	for _, k := range decode[api.KeySet](s.do(t, request{method: "GET", path: "/.well-known/jwks.json"}).want(200)).Keys {
		set[k.Kid] = k
	}
	return set
}

// key is the public key of a JWK, read with the standard library alone.
func key(t *testing.T, k api.Key) crypto.PublicKey {
	t.Helper()
	bytes := func(text *string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(*text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	switch k.Kty {
	case "EC":
		point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, bytes(k.X), bytes(k.Y)))
		if err != nil {
			t.Fatal(err)
		}
		return point
	case "RSA":
		return &rsa.PublicKey{N: new(big.Int).SetBytes(bytes(k.N)), E: int(new(big.Int).SetBytes(bytes(k.E)).Int64())}
	case "OKP":
		return ed25519.PublicKey(bytes(k.X))
	}
	t.Fatalf("kty %s", k.Kty)
	return nil
}

func kid(t *testing.T, accessToken string) string {
	t.Helper()
	return forge(t, accessToken).header["kid"].(string)
}

// states are the keys in the database: kid to state.
func (s *server) states(t *testing.T) map[string]string {
	t.Helper()
	db, err := store.Open(t.Context(), s.dbURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.AccessTokenKeys().All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, row := range rows {
		states[row.ID] = row.State
	}
	return states
}

// until waits for something that the servers do by themselves, for at most 30 s.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// inState gives the kids of the keys in a state.
func inState(states map[string]string, state string) (kids []string) {
	for id, is := range states {
		if is == state {
			kids = append(kids, id)
		}
	}
	return kids
}

// traffic logs in, refreshes and uses new and old tokens on both replicas, and verifies what it gets
// like a service that keeps the key set for five minutes.
type traffic struct {
	t       *testing.T
	r       replicas
	refresh string
	access  []issued        // those that have not expired
	sets    []fetched       // those that verifiers may still have
	signed  map[string]bool // the kids seen
}

type fetched struct {
	keys map[string]api.Key
	at   time.Time
}

type issued struct {
	token string
	until time.Time
}

// round is one of each. Every answer must be 200.
func (c *traffic) round() {
	c.t.Helper()
	for _, s := range c.r {
		refreshed := decode[api.Token](s.do(c.t, refreshGrant(c.refresh)).want(200))
		c.refresh = refreshed.RefreshToken
		for _, got := range []api.Token{refreshed, s.login(c.t, "ann")} {
			until := s.clock.now().Add(time.Duration(got.ExpiresIn-1) * time.Second)
			c.access = append(c.access, issued{got.AccessToken, until})
		}
	}
	now := c.r[0].clock.now()
	c.access = slices.DeleteFunc(c.access, func(i issued) bool { return now.After(i.until) })
	c.sets = slices.DeleteFunc(c.sets, func(f fetched) bool { return now.Sub(f.at) >= 5*time.Minute })
	for _, s := range c.r {
		c.sets = append(c.sets, fetched{s.keySet(c.t), now})
	}
	for _, i := range c.access {
		c.verify(i.token)
		for _, s := range c.r {
			s.do(c.t, me(i.token)).want(200)
		}
	}
}

// verify is what verifiers do that have fetched the key set within five minutes, each at another
// time, and that never fetch for a kid that they do not know.
func (c *traffic) verify(accessToken string) {
	t := c.t
	t.Helper()
	id, now := kid(t, accessToken), c.r[0].clock.now()
	c.signed[id] = true
	for _, set := range c.sets {
		if _, known := set.keys[id]; !known {
			t.Fatalf("a verifier that fetched the key set %v ago meets an unknown kid", now.Sub(set.at))
		}
	}
	jwk := c.sets[0].keys[id]
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwk.Alg}), jwt.WithTimeFunc(c.r[0].clock.now), jwt.WithLeeway(30*time.Second))
	if _, err := parser.Parse(accessToken, func(*jwt.Token) (any, error) { return key(t, jwk), nil }); err != nil {
		t.Fatal(err)
	}
}

// O6: through a whole rotation on the schedule, under logins, refreshes and requests on two
// replicas, no valid token is refused, and no verifier that caches meets a key it does not know.
func TestARotationRefusesNoToken(t *testing.T) {
	onTwoReplicas(t, func(t *testing.T, r replicas) {
		tokens := r[0].newcomer(t, "ann")
		c := &traffic{t: t, r: r, refresh: tokens.RefreshToken, signed: map[string]bool{}}
		first := kid(t, tokens.AccessToken)
		c.round()
		seen := map[string]bool{}
		r.advance(t, 47*time.Minute) // shortly before something is due
		for minute := 47; !seen["removed"]; minute++ {
			if minute > 90 {
				t.Fatalf("no rotation in an hour and a half: %v %v", r[0].states(t), seen)
			}
			r.advance(t, time.Minute)
			c.round()
			states := r[0].states(t)
			if n := len(inState(states, store.KeySigning)); n != 1 {
				t.Fatalf("%d keys sign", n)
			}
			seen["published"] = seen["published"] || len(inState(states, store.KeyPublished)) == 1 && states[first] == store.KeySigning
			seen["retired"] = seen["retired"] || states[first] == store.KeyRetired
			seen["removed"] = states[first] == ""
		}
		if !seen["published"] || !seen["retired"] || len(c.signed) != 2 {
			t.Errorf("saw %v and tokens of %d keys", seen, len(c.signed))
		}
		r.advance(t, time.Minute)
		for _, s := range r {
			if set := s.keySet(t); set[first].Kid != "" {
				t.Error("the removed key is still in the key set")
			}
		}
	}, "SESAME_KEY_ROTATION=1h", "SESAME_ACCESS_TOKEN_TTL=5m")
}

// keyList is what keys list --json prints.
type keyList struct {
	Items []struct {
		Kid, Alg, State string
		RetiresAt       *time.Time `json:"retires_at"`
		RemovedAt       *time.Time `json:"removed_at"`
	}
}

// O6: many administrators and replicas at once make one key.
func TestParallelCommandsMakeOneKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		var wait sync.WaitGroup
		for range 6 {
			wait.Go(func() {
				if _, stderr, code := s.sesame(t, "", "keys", "rotate"); code != 0 {
					t.Errorf("code %d: %s", code, stderr)
				}
			})
		}
		wait.Wait()
		if states := s.states(t); len(states) != 2 || len(inState(states, store.KeyPublished)) != 1 {
			t.Errorf("%v", states)
		}
		var done atomic.Int64
		for range 6 {
			wait.Go(func() {
				if _, stderr, code := s.sesame(t, "", "keys", "rotate", "--now"); code == 0 {
					done.Add(1)
				} else if !strings.Contains(stderr, "rotated the keys at the same moment") {
					t.Errorf("code %d: %s", code, stderr)
				}
			})
		}
		wait.Wait()
		states := s.states(t)
		if n := len(inState(states, store.KeyRetired)); n == 0 || int64(n) != done.Load() || len(inState(states, store.KeySigning)) != 1 {
			t.Errorf("%d commands say that they rotated: %v", done.Load(), states)
		}
	})
}

// O6: keys rotate while the server runs: published first, then signing. --now signs at once and old tokens stay
// valid; --revoke ends them, and a refresh gives a valid one.
func TestKeysRotate(t *testing.T) {
	onTwoReplicas(t, func(t *testing.T, r replicas) {
		s := r[0]
		old := s.newcomer(t, "ann")
		list := func(args ...string) keyList {
			stdout, stderr, code := s.sesame(t, "", append(args, "--json")...)
			if code != 0 {
				t.Fatalf("%v: %s", args, stderr)
			}
			return decode[keyList](&answer{t: t, body: []byte(stdout)})
		}
		begun := list("keys", "rotate")
		if len(begun.Items) != 2 || begun.Items[0].State != "signing" || begun.Items[1].State != "published" || begun.Items[0].Kid != kid(t, old.AccessToken) {
			t.Fatalf("%+v", begun)
		}
		if again := list("keys", "rotate"); !reflect.DeepEqual(again, begun) {
			t.Errorf("a second rotate changed %+v to %+v", begun, again)
		}
		r.advance(t, 31*time.Second)
		now := list("keys", "rotate", "--now")
		if len(now.Items) != 2 || now.Items[0].Kid != begun.Items[1].Kid || now.Items[1].State != "retired" {
			t.Fatalf("%+v after %+v", now, begun)
		}
		haveRead := r.leap(61 * time.Second)
		fresh := s.login(t, "ann") // which does not wait until it is time to read the keys
		if kid(t, fresh.AccessToken) != now.Items[0].Kid {
			t.Error("a replica signs with a key that was retired a minute ago")
		}
		for _, s := range r {
			s.do(t, me(old.AccessToken)).want(200)
			s.do(t, me(fresh.AccessToken)).want(200)
		}
		haveRead(t)
		revoked := list("keys", "rotate", "--now", "--revoke")
		if len(revoked.Items) != 1 {
			t.Fatalf("%+v", revoked)
		}
		r.advance(t, 61*time.Second)
		for _, s := range r {
			s.do(t, me(fresh.AccessToken)).want(401, "invalid_token") // remembered, but its key is gone
			s.do(t, me(old.AccessToken)).want(401, "invalid_token")
		}
		again := decode[api.Token](s.do(t, refreshGrant(fresh.RefreshToken)).want(200))
		r[1].do(t, me(again.AccessToken)).want(200)
		table, _, _ := s.sesame(t, "", "keys", "list")
		if !strings.HasPrefix(table, "KID ") || !strings.Contains(table, revoked.Items[0].Kid+"  access_tokens  ES256  signing  20") {
			t.Error(table)
		}
		if _, stderr, code := s.sesame(t, "", "keys", "rotate", "--revoke"); code == 0 || !strings.Contains(stderr, "give --now as well") {
			t.Errorf("code %d: %s", code, stderr)
		}
	}, "SESAME_KEY_ROTATION=0")
}

// A1, O6: after a leaked master key, as docs/guides/keys.md says: another one, and no signing keys.
func TestAnotherMasterKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		old := s.newcomer(t, "ann")
		s.stop()
		s.sql(t, `DELETE FROM signing_keys`)
		s.sql(t, `DELETE FROM id_token_keys`)
		fresh := make([]byte, 32)
		_, _ = rand.Read(fresh)
		s = start(t, s.dbURL, "SESAME_MASTER_KEY="+base64.StdEncoding.EncodeToString(fresh))
		s.do(t, me(old.AccessToken)).want(401, "invalid_token")
		s.do(t, refreshGrant(old.RefreshToken)).want(400, "invalid_grant")
		s.do(t, me(s.login(t, "ann").AccessToken)).want(200)
	})
}

// T2, O6: a token of a key that this replica has not read yet is good at once; tokens with made-up
// kids make it read once in five seconds, however many come.
func TestUnknownKidsDoNotFloodTheDatabase(t *testing.T) {
	onTwoReplicas(t, func(t *testing.T, r replicas) {
		stale, s := r[1], r[0]
		s.register(t, "ann")
		forged := forge(t, s.login(t, "ann").AccessToken) // of the old key, whenever the server reads the new one
		if _, stderr, code := s.sesame(t, "", "keys", "rotate", "--now"); code != 0 {
			t.Fatal(stderr)
		}
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		madeUp := func(kid string) string {
			return forged.sign(t, jwt.SigningMethodES256, own, map[string]any{"kid": kid})
		}
		fresh := ""
		until(t, "the new key signs", func() bool {
			s.do(t, me(madeUp("kid"))).want(401, "invalid_token") // so that it reads the new key, if it may again
			s.clock.advance(5 * time.Second)
			fresh = s.login(t, "ann").AccessToken
			return kid(t, fresh) != forged.header["kid"]
		})
		stale.do(t, me(fresh)).want(200)

		began := time.Now()
		for i := range 300 {
			stale.do(t, me(madeUp(fmt.Sprint("kid", i)))).want(401, "invalid_token")
		}
		limit := 2 + int(time.Since(began)/(5*time.Second))
		if n := strings.Count(stale.wholeLog(), "an unknown key"); n < 1 || n > limit {
			t.Errorf("300 forged tokens made the server read its keys %d times, want at most %d", n, limit)
		}
	}, "SESAME_KEY_ROTATION=0")
}

// O5, T1: each algorithm works end to end, and after a change from each to each the old tokens stay valid.
func TestEachAlgorithm(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const url = "SESAME_PUBLIC_URL=https://login.example"
		s.register(t, "ann")
		before, clock := s.login(t, "ann").AccessToken, s.clock
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range []string{"ES256", "RS256", "EdDSA", "ES256"} {
			s.stop()
			s = start(t, s.dbURL, url, "SESAME_SIGNING_ALG="+alg, "SESAME_ACCESS_TOKEN_TTL=24h")
			s.clock.advance(clock.now().Sub(s.clock.now()))
			clock = s.clock
			s.do(t, me(before)).want(200)
			s.clock.advance(10*time.Minute + time.Second)
			until(t, alg+" signs", func() bool { return forge(t, s.login(t, "ann").AccessToken).header["alg"] == alg })
			fresh := s.login(t, "ann").AccessToken
			s.do(t, me(before)).want(200)
			s.do(t, me(fresh)).want(200)
			jwk := s.keySet(t)[kid(t, fresh)]
			if jwk.Alg != alg {
				t.Errorf("%+v, want %s", jwk, alg)
			}
			parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithTimeFunc(s.clock.now))
			if _, err := parser.Parse(fresh, func(*jwt.Token) (any, error) { return key(t, jwk), nil }); err != nil {
				t.Error(err)
			}
			s.noPrivateMember(t)
			// Each key with each other algorithm that its public half could be used for.
			for _, jwk := range s.keySet(t) {
				asJSON, err := json.Marshal(jwk)
				if err != nil {
					t.Fatal(err)
				}
				forged := forge(t, fresh)
				s.refuses(t, forged.sign(t, jwt.SigningMethodHS256, asJSON, map[string]any{"kid": jwk.Kid}), fresh)
				s.refuses(t, forged.sign(t, jwt.SigningMethodES256, own, map[string]any{"kid": jwk.Kid}), fresh)
			}
			before = fresh
		}
	}, "SESAME_PUBLIC_URL=https://login.example", "SESAME_ACCESS_TOKEN_TTL=24h")
}

// noPrivateMember reads the key set as it is served (RFC 7518 §6.2.2 and §6.3.2, RFC 8037 §2).
func (s *server) noPrivateMember(t *testing.T) {
	t.Helper()
	set := decode[struct{ Keys []map[string]any }](s.do(t, request{method: "GET", path: "/.well-known/jwks.json"}).want(200))
	for _, k := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, there := k[private]; there {
				t.Errorf("the key set holds %s", private)
			}
		}
	}
}
