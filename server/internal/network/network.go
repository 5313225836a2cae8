// Package network names the network that a request comes from, so that limits hold for all of one
// customer's addresses together.
//
//	from := network.Of("2001:db8:1:2::3") // {Subnet: "2001:db8:1:2::/64", Site: "2001:db8:1::/48"}
package network

import "net/netip"

// Network is where a request comes from. The zero value is the command line.
type Network struct {
	Subnet string // an IPv4 address, or the /64 of an IPv6 address: the least that a customer is given
	Site   string // the same IPv4 address, or the /48 around the /64: the most that a customer is usually given
}

// Of gives the network of an IP address. An address that cannot be parsed is a network of its own.
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

// Nested reports whether the site holds other subnets too, and is therefore counted beside the subnet.
func (n Network) Nested() bool { return n.Site != n.Subnet }
