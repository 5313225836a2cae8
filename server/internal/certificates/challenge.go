package certificates

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/acme"

	"sesame/server/internal/store"
)

// challenge is what a replica answers to the authority.
type challenge struct {
	Token, Response string           // of http-01
	PEM             []byte           // of tls-alpn-01: a certificate and its key
	certificate     *tls.Certificate // PEM
}

// publish stores the answer to a challenge where every replica finds it, and waits until none remembers an older state.
func (m *Manager) publish(ctx context.Context, client *acme.Client, offered *acme.Challenge, row store.Certificate) error {
	var c challenge
	var err error
	if offered.Type == "http-01" {
		c.Token = offered.Token
		c.Response, err = client.HTTP01ChallengeResponse(offered.Token)
	} else {
		var pair tls.Certificate
		if pair, err = client.TLSALPN01ChallengeCert(offered.Token, m.Host); err == nil {
			c.PEM, err = encode(pair.PrivateKey, pair.Certificate)
		}
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err == nil {
		err = m.db.SetChallenge(ctx, row, m.sealer.Seal(text, sealName("challenge", row)))
	}
	if err != nil {
		return err
	}
	select {
	case <-time.After(m.Every):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errNoChallenge = errors.New("no challenge of a certification authority is to be answered now")

// currentChallenge returns the challenge of the attempt in progress, of whichever replica. Anybody can ask for it, so it reads
// the database at most once in Every. publish waits for as long, so that the authority never gets an answer that was read
// before. Those who ask while the database is slow share the next reading.
func (m *Manager) currentChallenge(ctx context.Context) (challenge, error) {
	last, asked := &m.answered, time.Now()
	last.Lock()
	defer last.Unlock()
	if last.at.IsZero() || asked.Sub(last.at) >= m.Every {
		last.at = time.Now()
		// One reading serves many clients, so it does not end with the connection of the first.
		last.challenge, last.err = m.readChallenge(context.WithoutCancel(ctx))
	}
	return last.challenge, last.err
}

func (m *Manager) readChallenge(ctx context.Context) (c challenge, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	row, err := m.db.Certificate(ctx, m.Directory, m.Host)
	if errors.Is(err, store.ErrNotFound) || err == nil && row.Challenge == "" {
		return c, errNoChallenge
	}
	if err != nil {
		return c, err
	}
	text, err := m.sealer.Open(row.Challenge, sealName("challenge", row))
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err == nil && c.PEM != nil {
		var pair tls.Certificate
		pair, err = tls.X509KeyPair(c.PEM, c.PEM)
		c.certificate = &pair
	}
	return c, err
}

// challengePath is where RFC 8555 §8.3 has the answers to http-01.
const challengePath = "/.well-known/acme-challenge/"

// AnswerHTTP answers the challenges of http-01, and leaves every other request to next.
func (m *Manager) AnswerHTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, ok := strings.CutPrefix(r.URL.Path, challengePath)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		c, err := m.currentChallenge(r.Context())
		if err != nil || c.Token == "" || asked != c.Token {
			http.Error(w, "No such challenge is to be answered now.", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte(c.Response)) // the authority has closed the connection
	})
}
