package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sesame/server/internal/token/atjwt"
)

// A2: keys, and refresh tokens taken apart, print nothing of what they hold.
func TestKeysAndTokensPrintNothing(t *testing.T) {
	t.Parallel()
	root := bytes.Repeat([]byte("0123456789abcdef"), 2)
	master, err := ParseMasterKey(base64.StdEncoding.EncodeToString(root))
	if err != nil {
		t.Fatal(err)
	}
	refresh := NewRefresh(uuid.New())
	refresher := NewRefresher(master)
	keyed := NewKeyedHash(master)
	sealer := NewSealer(master, "a purpose")
	type held struct {
		value any
		bytes []byte
	}
	cases := map[string]held{
		"the master key": {master, root}, "its pointer": {&master, root}, "the key of keyed hashes": {keyed, keyed.key},
		"a refresh token": {refresh, refresh.seed[:]}, "the key of refresh tokens": {refresher, refresher.key},
		"the key of sealed texts": {sealer, master.derive("a purpose")},
	}
	for _, alg := range atjwt.Algorithms {
		key, err := GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		var private []byte // to look for it
		switch k := key.private.(type) {
		case *ecdsa.PrivateKey:
			private = k.D.Bytes() //nolint:staticcheck // there is no other way to the number
		case *rsa.PrivateKey:
			private = k.D.Bytes()
		case ed25519.PrivateKey:
			private = k.Seed()
		}
		cases["a key for "+alg], cases["a ring of "+alg] = held{key, private}, held{NewKeyring(key), private}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var all bytes.Buffer
			for _, verb := range "vsqxXd" {
				fmt.Fprintf(&all, "%"+string(verb)+" %+"+string(verb)+" %#"+string(verb)+"\n", c.value, c.value, c.value)
			}
			encoded, err := json.Marshal(c.value)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(encoded)
			slog.New(slog.NewTextHandler(&all, nil)).Info("x", "value", c.value)
			slog.New(slog.NewJSONHandler(&all, nil)).Info("x", "value", c.value)
			numbers := strings.Trim(fmt.Sprintf("%d", c.bytes), "[]")
			for _, spelling := range []string{
				string(c.bytes), hex.EncodeToString(c.bytes), strings.ToUpper(hex.EncodeToString(c.bytes)), numbers,
				base64.StdEncoding.EncodeToString(c.bytes), strings.ReplaceAll(numbers, " ", ", "),
				strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", c.bytes), "[]byte{"), "}"),
			} {
				if strings.Contains(all.String(), spelling) {
					t.Errorf("it is written as %s in\n%s", spelling, all.String())
				}
			}
		})
	}
}
