package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sesame/server/internal/store"
	"sesame/server/secret"
)

const (
	secretPrefix = "whsec_"
	secretSize   = 32 // bytes; Standard Webhooks allows 24 to 64
)

// newSecret makes a secret, in the form in which receivers get it.
func newSecret() secret.Text {
	key := make([]byte, secretSize)
	rand.Read(key)
	return secret.New(secretPrefix + base64.StdEncoding.EncodeToString(key))
}

// sealName binds a sealed secret to its webhook.
func sealName(id string) string { return "webhook secret " + id }

func (s *Service) seal(id string, plain secret.Text) string {
	return s.secrets.Seal([]byte(plain.Reveal()), sealName(id))
}

// signature is the header webhook-signature of a message: one signature for each secret that is valid.
func (s *Service) signature(w store.Webhook, id string, at time.Time, body []byte) (string, error) {
	sealed := []string{w.Secret}
	if w.OldSecret != "" && w.OldSecretUntil.After(at) {
		sealed = append(sealed, w.OldSecret)
	}
	var signatures []string
	for _, text := range sealed {
		plain, err := s.secrets.Open(text, sealName(w.ID))
		if err != nil {
			return "", fmt.Errorf("the secret cannot be opened with this master key; replace it with: sesame webhook secret %s: %w", w.ID, err)
		}
		signed, err := sign(string(plain), id, at, body)
		if err != nil {
			return "", err
		}
		signatures = append(signatures, signed)
	}
	return strings.Join(signatures, " "), nil
}

// sign signs a message by Standard Webhooks: HMAC-SHA256 over its id, the time of the attempt and its body.
func sign(secret, id string, at time.Time, body []byte) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
	if err != nil {
		return "", fmt.Errorf("decode the secret: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, seconds(at))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// seconds is a time as the header webhook-timestamp has it.
func seconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
