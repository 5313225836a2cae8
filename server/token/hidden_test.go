package token

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// A2: keys, and refresh tokens taken apart, print nothing of what they hold.
func TestKeysAndTokensPrintNothing(t *testing.T) {
	t.Parallel()
	root := bytes.Repeat([]byte("0123456789abcdef"), 2)
	master, err := ParseMasterKey(base64.StdEncoding.EncodeToString(root))
	if err != nil {
		t.Fatal(err)
	}
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	private := key.private.D.Bytes() //nolint:staticcheck // to look for it
	refresh := NewRefresh(uuid.New())
	refresher := NewRefresher(master)
	for name, c := range map[string]struct {
		value any
		bytes []byte
	}{
		"the master key": {master, root}, "its pointer": {&master, root}, "a signing key": {key, private},
		"a refresh token": {refresh, refresh.seed[:]}, "the key of refresh tokens": {refresher, refresher.key},
	} {
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
