package outbound

import (
	"net/netip"
	"testing"
)

// F20: only addresses of the internet are public, however they are written.
func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for text, public := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700:4700::1111": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.255.255.254": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "172.32.0.1": true, "192.168.0.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.127.255.255": false, "0.0.0.0": false, "0.1.2.3": false, "192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::1": false, "::": false, "::7f00:1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "fec0::1": false, "ff02::1": false, "2001:db8::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::a00:1": false, "2002:7f00:1::": false, "2001:0:1::": false, "100::1": false,
		"::ffff:0:7f00:1": false, "::ffff:0:a00:1": false, "4000::1": false, "5f00::1": false, "3fff::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s: %t", text, got)
		}
	}
	for _, address := range []string{"https://:443", "https://:443/a", "https://[::ffff:0:127.0.0.1]", "https://[::ffff:0:7f00:1]", "https://127.0.0.1", "https://[::1]:8443"} {
		if (Policy{}).CheckURL(address) == "" {
			t.Errorf("%s is accepted", address)
		}
	}
	for _, address := range []string{"127.0.0.1:443", "[::1]:443", "localhost:443", "", "8.8.8.8"} {
		if (Policy{}).onlyPublic("tcp", address, nil) == nil {
			t.Errorf("%q is connected to", address)
		}
	}
}
