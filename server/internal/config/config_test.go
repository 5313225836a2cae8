package config

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestSettingsFromVariables(t *testing.T) {
	t.Parallel()
	s, err := FromEnv(nil)
	if err != nil || s.Listen != "127.0.0.1:8080" || s.AccessTokenTTL.Duration != 10*time.Minute || s.RegistrationLimit.Value != 60 || s.Docs != "on" {
		t.Errorf("the defaults are %+v, %v", s, err)
	}
	s, err = FromEnv([]string{
		"SESAME_LISTEN=[::1]:0", "SESAME_MASTER_KEY=YQ==", "SESAME_REFRESH_IDLE_TTL=20m", "SESAME_CORS_ORIGINS=https://a.example, https://b.example",
		"SESAME_DOCS=", "SESAME_TEST_POSTGRES=x", "OTHER=x", "PATH",
	})
	if err != nil || s.Listen != "[::1]:0" || s.MasterKey.Reveal() != "YQ==" || s.RefreshIdleTTL.Duration != 20*time.Minute || len(s.CorsOrigins.Items()) != 2 || s.Docs != "on" {
		t.Errorf("the settings are %+v, %v", s, err)
	}
	_, err = FromEnv([]string{"SESAME_LISTN=x", "SESAME_DOCS=off\n", "SESAME_REGISTRATION=maybe", "SESAME_HELP=true", "SESAME_KEY_ROTATION=monthly"})
	if err == nil {
		t.Fatal("invalid settings are accepted")
	}
	for _, part := range []string{
		"SESAME_LISTN is not a setting; did you mean SESAME_LISTEN?", "SESAME_DOCS begins or ends with white space", `SESAME_REGISTRATION is "maybe"; it must be open or closed`,
		"SESAME_HELP is not a setting", `SESAME_KEY_ROTATION is "monthly"; it must be a duration`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not contain %q:\n%v", part, err)
		}
	}
}

// N15: networks that together hold every client are refused however they are split; all but one address are accepted.
func TestTrustInEveryClientIsRefused(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, all := range []string{"0.0.0.0/0", "::/0", "2000::/3"} {
		for range 50 {
			parts := []netip.Prefix{netip.MustParsePrefix(all)}
			lower, upper := halves(parts[0])
			parts = []netip.Prefix{lower, upper}
			for range random.IntN(200) {
				i := random.IntN(len(parts))
				if parts[i].IsSingleIP() {
					continue
				}
				lower, upper = halves(parts[i])
				parts = append(slices.Delete(parts, i, i+1), lower, upper)
			}
			random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			if checkTrust(parts) == "" {
				t.Fatalf("%v is accepted", parts)
			}
			if checkTrust(append(parts, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fc00::/7"))) == "" {
				t.Fatalf("%v is accepted with others", parts)
			}
			client := netip.MustParseAddr("203.0.113.7")
			if all != "0.0.0.0/0" {
				client = netip.MustParseAddr("2001:db8::7")
			}
			if reason := checkTrust(without(parts, client)); reason != "" {
				t.Fatalf("%v without %s %s", parts, client, reason)
			}
		}
	}
	if reason := checkTrust(nil); reason != "" {
		t.Error(reason)
	}
}

// without removes one address from networks.
func without(networks []netip.Prefix, a netip.Addr) (rest []netip.Prefix) {
	for _, p := range networks {
		for p.Contains(a) && !p.IsSingleIP() {
			lower, upper := halves(p)
			if lower.Contains(a) {
				lower, upper = upper, lower
			}
			rest, p = append(rest, lower), upper
		}
		if !p.Contains(a) {
			rest = append(rest, p)
		}
	}
	return rest
}

func TestTheNearestName(t *testing.T) {
	t.Parallel()
	known := []string{"SESAME_LISTEN", "SESAME_REGISTRATION", "SESAME_SMTP_URL", "SESAME_PUBLIC_URL", "SESAME_MASTER_KEY", "SESAME_MASTER_KEY_FILE"}
	for name, want := range map[string]string{
		"SESAME_REGISTRATON": "SESAME_REGISTRATION", "SESAME_LISTN": "SESAME_LISTEN", "SESAME_SMPT_URL": "SESAME_SMTP_URL", "SESAME_MASTERKEY": "SESAME_MASTER_KEY",
		"SESAME_MASTER_KEY_FLIE": "SESAME_MASTER_KEY_FILE", "SESAME_MASTER": "SESAME_MASTER_KEY", "SESAME_PUBLIC_URI": "SESAME_PUBLIC_URL",
		"SESAME_": "", "SESAME_QQQQQQ": "", "SESAME_X": "", "SESAME_A_NAME_THAT_IS_FAR_FROM_ALL": "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("the nearest name to %s is %q, want %q", name, got, want)
		}
	}
}

// The names of settings in messages are those of their variables.
func TestVariablesOfFields(t *testing.T) {
	var s Settings
	parser, err := kong.New(&s, kong.NoDefaultHelp())
	if err != nil {
		t.Fatal(err)
	}
	all, names := reflect.ValueOf(&s).Elem(), map[any]string{}
	for _, field := range reflect.VisibleFields(all.Type()) {
		if field.IsExported() && field.Tag.Get("help") != "" {
			names[all.FieldByIndex(field.Index).Addr().Interface()] = Prefix + variableOf(field)
		}
	}
	for _, flag := range Flags(parser) {
		if got := names[flag.Target.Addr().Interface()]; got != Variable(flag.Name) {
			t.Errorf("the variable of --%s is %q", flag.Name, got)
		}
	}
}
