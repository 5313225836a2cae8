package network

import "testing"

// N2: an IPv6 customer's addresses are one network, however many there are, and one spelling is as good as another.
func TestNetworksOfAddresses(t *testing.T) {
	for address, want := range map[string]Network{
		"":                      {},
		"203.0.113.7":           {"203.0.113.7", "203.0.113.7"},
		"::ffff:203.0.113.7":    {"203.0.113.7", "203.0.113.7"},
		"2001:db8:1:2::3":       {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:DB8:1:2:ffff::3":  {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:db8:1:3::3":       {"2001:db8:1:3::/64", "2001:db8:1::/48"},
		"2001:db8:2:2::3":       {"2001:db8:2:2::/64", "2001:db8:2::/48"},
		"fe80::1%eth0":          {"fe80::/64", "fe80::/48"},
		"not an address at all": {"not an address at all", "not an address at all"},
	} {
		if got := Of(address); got != want {
			t.Errorf("%q is of %+v, want %+v", address, got, want)
		}
		if nested := Of(address).Nested(); nested != (want.Site != want.Subnet) {
			t.Errorf("%q is nested: %t", address, nested)
		}
	}
}
