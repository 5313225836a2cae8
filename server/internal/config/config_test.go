package config

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// N15: trust in everybody is refused however it is split, and trust in all but one client is not.
func TestTrustInEverybodyIsFound(t *testing.T) {
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
				t.Fatalf("%v is taken", parts)
			}
			if checkTrust(append(parts, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fc00::/7"))) == "" {
				t.Fatalf("%v is taken with others", parts)
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

// without takes one address out of networks.
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
		if got := nearest(name, known); got != want {
			t.Errorf("%s is taken for %q, want %q", name, got, want)
		}
	}
}
