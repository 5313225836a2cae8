package secret_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/config"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

const canary = "Canary7f3a9c"

// verbs are all that fmt knows, and one that it does not.
const verbs = "vTtbcdoOqxXUeEfFgGspwz"

// A2: printing a secret, or anything that holds one, prints a placeholder.
func TestASecretPrintsItselfNowhere(t *testing.T) {
	t.Parallel()
	text := secret.New(canary)
	type inside struct{ hidden, Shown secret.Text }
	values := map[string]any{
		"itself": text, "a pointer": &text, "a slice": []secret.Text{text}, "a map": map[string]secret.Text{"k": text},
		"a struct": inside{text, text}, "an error": fmt.Errorf("with %v and %w", text, errors.New(text.String())),
		"a login": identity.Login{Username: "ann", Password: text}, "a registration": &account.Registration{Password: text},
		"tokens": oauth.Tokens{AccessToken: text, RefreshToken: text}, "settings": config.Settings{MasterKey: text, DatabaseURL: text},
		"a row": store.User{PasswordHash: text}, "a caller": &identity.Caller{User: store.User{PasswordHash: text}}, "an import": account.ImportedUser{PasswordHash: text},
		"a form": api.TokenRequest{Password: &text, RefreshToken: &text, ClientSecret: &text},
		"a body": api.UserCreate{Username: "ann", Password: text}, "a change": api.PasswordChange{CurrentPassword: text, NewPassword: text},
		"a revocation": api.RevocationRequest{Token: text},
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			var all bytes.Buffer
			for _, verb := range verbs {
				for _, flags := range []string{"", "+", "#", "-20.30", " "} {
					fmt.Fprintf(&all, "%"+flags+string(verb), value)
				}
			}
			fmt.Fprintln(&all, value)
			encoded, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(encoded)
			slog.New(slog.NewTextHandler(&all, nil)).Info(name, "value", value, slog.Group("in", "value", value))
			slog.New(slog.NewJSONHandler(&all, nil)).Info(name, "value", value, slog.Group("in", "value", value))
			for _, spelling := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("%d", []byte(canary))[1:20]} {
				if strings.Contains(all.String(), spelling) {
					t.Errorf("it is written as %s in\n%s", spelling, all.String())
				}
			}
		})
	}
	var marshaler encoding.TextMarshaler = text
	if written, err := marshaler.MarshalText(); err != nil || string(written) != "[secret]" {
		t.Errorf("%s %v", written, err)
	}
}

// The value itself is still available.
func TestASecretIsRevealedByNameAlone(t *testing.T) {
	t.Parallel()
	var read struct{ Password secret.Text }
	if err := json.Unmarshal([]byte(`{"password":"`+canary+`"}`), &read); err != nil || read.Password.Reveal() != canary {
		t.Errorf("got %q %v", read.Password.Reveal(), err)
	}
	err := json.Unmarshal([]byte(`{"password":{"`+canary+`":1}}`), &read)
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("got %v", err)
	}
	if err := read.Password.UnmarshalText([]byte("x")); err != nil || read.Password.Reveal() != "x" || read.Password.Empty() {
		t.Errorf("got %q %v", read.Password.Reveal(), err)
	}
	if empty := (secret.Text{}); !empty.Empty() || empty.Reveal() != "" || fmt.Sprint(empty) != "" {
		t.Error("the zero value is not empty")
	}
}
