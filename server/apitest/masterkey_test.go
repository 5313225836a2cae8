package apitest

import (
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

func newMasterKey() string {
	key := make([]byte, 32)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// keyed gives the settings of a master key and a second one.
func keyed(first, second string) []string {
	return []string{"SESAME_MASTER_KEY=" + first, "SESAME_SECOND_MASTER_KEY=" + second, "SESAME_PUBLIC_URL=https://login.example", "SESAME_NEW_LOGIN_MAILS=on"}
}

// The master key is replaced in three rolling restarts of two replicas: each accepts the new key, each uses it, each forgets
// the old one. In every state in between, what either replica makes works at the other, and nobody is logged out.
func TestTheMasterKeyIsReplaced(t *testing.T) {
	old, next := testKey(), newMasterKey()
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dbURL := databaseURL(t)
			steps := [][]string{keyed(old, ""), keyed(old, next), keyed(next, old), keyed(next, "")}
			a, b := start(t, dbURL, steps[0]...), start(t, dbURL, steps[0]...)
			if _, stderr, code := a.sesame(t, horse+"\n", "user", "create", "root", "--scope", "users:read"); code != 0 {
				t.Fatal(stderr)
			}
			tokens, waiting := a.newcomer(t, "ann"), b.newcomer(t, "bob")
			pages := decode[api.Token](a.do(t, withScope(passwordGrant("root", horse), "users:read")).want(200)).AccessToken
			for step := 1; step < len(steps); step++ {
				for _, restarted := range []**server{&a, &b} {
					(*restarted).stop()
					*restarted = start(t, dbURL, steps[step]...)
					for _, pair := range [][2]*server{{a, b}, {b, a}, {a, a}} {
						first, second := pair[0], pair[1]
						tokens = decode[api.Token](first.do(t, refreshGrant(tokens.RefreshToken)).want(200))
						again := decode[api.Token](second.do(t, refreshGrant(tokens.RefreshToken)).want(200))
						second.do(t, me(again.AccessToken)).want(200)
						tokens = again
						list := request{method: "GET", path: "/users?limit=1", token: pages}
						list.path += "&cursor=" + url.QueryEscape(decode[api.UserPage](first.do(t, list).want(200)).NextCursor.MustGet())
						second.do(t, list).want(200)
						second.do(t, passwordGrant("ann", horse)).want(200)
					}
				}
				if step == 2 { // used once while the old key was accepted
					waiting = decode[api.Token](a.do(t, refreshGrant(waiting.RefreshToken)).want(200))
				}
			}
			a.do(t, refreshGrant(waiting.RefreshToken)).want(200)
			if log := a.log.String() + b.log.String(); strings.Contains(log, "ERROR") {
				t.Errorf("the log has errors:\n%s", log)
			}
		})
	}
}

// While the master key is replaced, a mail that waits is sent and its code works, and the networks of an account stay known.
// With a key that neither setting names the server does not start.
func TestWhatAReplacedMasterKeyHasMade(t *testing.T) {
	old, next := testKey(), newMasterKey()
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dbURL, post := databaseURL(t), smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
			s := start(t, dbURL, append(keyed(old, ""), proxied, "SESAME_SMTP_URL=smtp://127.0.0.1:1")...)
			s.createVerified(t, "ann")
			s.do(t, from("192.0.2.1", passwordGrant("ann", horse))).want(200)
			s.do(t, requestReset("ann@example.com")).want(202) // and no server takes the mail
			until(t, "the mail has failed once", func() bool { return strings.Contains(s.log.String(), "will be retried") })
			s.stop()

			e := environment{"SESAME_DATABASE_URL": dbURL, "SESAME_LISTEN": "127.0.0.1:0", "SESAME_MASTER_KEY": next}
			fails(t, "", e, "another master key", "serve")
			e["SESAME_SECOND_MASTER_KEY"] = next
			fails(t, "", e, "SESAME_SECOND_MASTER_KEY: the second master key is the same", "serve")

			file := filepath.Join(t.TempDir(), "old.key")
			delete(e, "SESAME_SECOND_MASTER_KEY")
			e["SESAME_SECOND_MASTER_KEY_FILE"] = file
			fails(t, "", e, "SESAME_SECOND_MASTER_KEY_FILE: open "+file, "serve")
			if err := os.WriteFile(file, []byte(old+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}

			s = start(t, dbURL, append(keyed(next, ""), "SESAME_SECOND_MASTER_KEY_FILE="+file, proxied, "SESAME_SMTP_URL="+post.URL)...)
			s.clock.advance(2 * time.Minute)
			_, code := linkIn(t, s.mailsTo(t, post, "ann@example.com", 1)[0])
			s.do(t, from("192.0.2.1", passwordGrant("ann", horse))).want(200) // which makes the network known by the new key
			s.stop()
			s = start(t, dbURL, append(keyed(next, ""), proxied, "SESAME_SMTP_URL="+post.URL)...)
			s.clock.advance(2 * time.Minute)
			s.do(t, from("192.0.2.1", passwordGrant("ann", horse))).want(200)
			s.do(t, from("198.51.100.7", passwordGrant("ann", horse))).want(200)
			mails := s.mailsTo(t, post, "ann@example.com", 2) // about the last login alone
			if text := mails[1].Text; !strings.Contains(text, "198.51.100.7") {
				t.Errorf("the mail is\n%s", text)
			}
			s.do(t, from("192.0.2.1", resetPassword(code, "a bigger wooden horse"))).want(204)
		})
	}
}
