package apitest

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

func (s *server) settings(t *testing.T, token string) (answer *answer, byName map[string]api.Setting) {
	t.Helper()
	answer = s.do(t, request{method: "GET", path: "/settings", token: token}).want(200)
	byName = map[string]api.Setting{}
	for _, one := range decode[api.ServerSettings](answer).Settings {
		byName[one.Name] = one
	}
	return answer, byName
}

// The settings are those that sesame config prints: every one, with its value in force and where it comes from.
func TestSettingsInForce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		a, settings := s.settings(t, root)
		for _, name := range settingNames() {
			if one, ok := settings[name]; !ok || one.Description == "" || said(one.Flag) != "--"+strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "SESAME_"), "_", "-")) {
				t.Errorf("%s: %+v", name, one)
			}
		}
		if len(settings) != len(settingNames()) {
			t.Errorf("there are %d settings, and %d listed", len(settingNames()), len(settings))
		}
		for name, want := range map[string][2]string{
			"SESAME_REGISTRATION":     {"closed", "environment"},
			"SESAME_ACCESS_TOKEN_TTL": {"10m0s", "default"},
			"SESAME_PUBLIC_URL":       {s.url, "default"}, // which follows from the listening address
			"SESAME_HOME_URL":         {s.url + "/", "default"},
			"SESAME_SMTP_URL":         {"[secret]", "environment"},
			"SESAME_MASTER_KEY":       {"[secret]", "environment"},
			"SESAME_MASTER_KEY_FILE":  {"", "default"},
		} {
			if got := settings[name]; got.Value != want[0] || string(got.Source) != want[1] {
				t.Errorf("%s is %q from %s, want %v", name, got.Value, got.Source, want)
			}
		}
		info, engine := decode[api.ServerSettings](a), "sqlite"
		if strings.HasPrefix(s.dbURL, "postgres") {
			engine = "postgres"
		}
		if string(info.Engine) != engine || info.SchemaVersion < 32 || !strings.HasPrefix(info.Version, "sesame") ||
			info.StartedAt.After(s.clock.now()) || s.clock.now().Sub(info.StartedAt) > time.Minute {
			t.Errorf("it describes itself as %q, %s, %d, %v", info.Version, info.Engine, info.SchemaVersion, info.StartedAt)
		}
		s.do(t, request{method: "GET", path: "/settings", token: s.clientToken(t, "settings:write")}).want(403, "insufficient_scope")
	}, "SESAME_REGISTRATION=closed")
}

// The list distinguishes a flag from a variable.
func TestSettingsSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	s := launch(t, sqliteURL(t), []string{"serve", "--docs", "off", "--password-min-length=9"}, "SESAME_PASSWORD_MIN_LENGTH=10", "SESAME_MAGIC_LINKS=off",
		"OTEL_SERVICE_NAME=login")
	_, settings := s.settings(t, s.clientToken(t, "settings:read"))
	for name, want := range map[string][2]string{
		"SESAME_DOCS": {"off", "flag"}, "SESAME_PASSWORD_MIN_LENGTH": {"9", "flag"}, "SESAME_MAGIC_LINKS": {"off", "environment"}, "OTEL_SERVICE_NAME": {"login", "environment"},
		"SESAME_REFRESH_TTL": {"720h0m0s", "default"},
	} {
		if got := settings[name]; got.Value != want[0] || string(got.Source) != want[1] {
			t.Errorf("%s is %q from %s, want %v", name, got.Value, got.Source, want)
		}
	}
}

// A2: no secret of the settings is in what an administrator reads, whatever its form.
func TestSettingsHaveNoSecret(t *testing.T) {
	t.Parallel()
	const word = "s3cret-canary-of-a-setting"
	second := make([]byte, 32)
	_, _ = rand.Read(second)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(testKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(second)
	check := func(t *testing.T, s *server, more ...string) {
		t.Helper()
		a, _ := s.settings(t, s.clientToken(t, "settings:read", "settings:write"))
		for _, secret := range append(more, word, encoded, encoded[:12], testKey(), testKey()[:12]) {
			if strings.Contains(string(a.body), secret) {
				t.Errorf("the settings have %s", secret)
			}
		}
	}
	t.Run("keys and addresses", func(t *testing.T) {
		t.Parallel()
		check(t, start(t, sqliteURL(t), "SESAME_SMTP_URL=smtp://"+word+":"+word+"@127.0.0.1:9", "SESAME_SECOND_MASTER_KEY="+encoded,
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_HEADERS=api-key="+word, "OTEL_EXPORTER_OTLP_TRACES_HEADERS=x="+word))
	})
	t.Run("a file", func(t *testing.T) {
		t.Parallel()
		check(t, start(t, sqliteURL(t), "SESAME_MASTER_KEY=", "SESAME_MASTER_KEY_FILE="+file))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		address := postgresURL(t)
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		check(t, start(t, address+separator+"sslpassword="+word))
	})
}
