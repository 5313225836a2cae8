package network

import (
	"errors"
	"net/netip"
	"syscall"
)

// ErrPrivate is the error of OnlyPublic.
var ErrPrivate = errors.New("the address is in a private network")

// OnlyPublic refuses to connect to an address that is not public. It is a net.Dialer.Control, so it sees the address after the name was
// resolved: no name can lead a request into the network of the server (DNS rebinding).
func OnlyPublic(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !IsPublic(target.Addr()) {
		return ErrPrivate
	}
	return nil
}

// special are the addresses of IANA's registries of special purposes that the methods of netip.Addr do not cover.
var special = func() (prefixes []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}()

// IsPublic reports whether an address can be that of a server on the internet. Addresses that embed one of IPv4 for a translator (NAT64,
// 6to4) are not: they would reach private ones.
func IsPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, prefix := range special {
		if prefix.Contains(ip) {
			return false
		}
	}
	return true
}
