// Package network identifies the network that a request comes from, so that a limit covers all the addresses of one
// customer together.
//
//	network.Of("2001:db8:1:2::3") // {Subnet: "2001:db8:1:2::/64", Site: "2001:db8:1::/48"}
//
// The HTTP layer puts the sender of a request into its context with WithRequest; the packages below read it with
// RequestOf and FromContext.
package network

import "net/netip"

// Network is the origin of a request. The zero value is the command line.
type Network struct {
	Subnet string // an IPv4 address, or the /64 of an IPv6 address: the smallest block that a customer gets
	Site   string // the same IPv4 address, or the /48 around the /64: the largest block that a customer usually gets
}

// Of returns the network of an IP address. An address that cannot be parsed is a network of its own.
func Of(address string) Network {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return Network{Subnet: address, Site: address}
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return Network{Subnet: ip.String(), Site: ip.String()}
	}
	return Network{Subnet: netip.PrefixFrom(ip, 64).Masked().String(), Site: netip.PrefixFrom(ip, 48).Masked().String()}
}

// Nested reports whether the site contains other subnets too, and so needs a counter beside the subnet's.
func (n Network) Nested() bool { return n.Site != n.Subnet }
