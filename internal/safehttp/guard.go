package safehttp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// ErrRefused is wrapped by every refusal of an address or URL.
var ErrRefused = errors.New("address is not allowed")

// refused lists, beside what [netip.Addr] knows to be special, the networks
// that are not the public internet or that hide another address inside.
var refused = prefixes(
	"0.0.0.0/8",       // this network
	"100.64.0.0/10",   // carrier-grade NAT; cloud metadata lives there too
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"240.0.0.0/4",     // reserved, and broadcast
	"::/96",           // IPv4-compatible
	"::ffff:0:0:0/96", // IPv4-translated
	"64:ff9b::/96",    // NAT64
	"64:ff9b:1::/48",  // NAT64 for local use
	"100::/64",        // discard
	"2001::/23",       // protocol assignments, Teredo among them
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4
	"3fff::/20",       // documentation
	"5f00::/16",       // segment routing
	"fec0::/10",       // site-local
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Guard decides which addresses may be dialled: public unicast ones, and what
// Allow names. The zero value allows public addresses only. Safe for
// concurrent use as long as Allow is not changed.
type Guard struct {
	// Allow opens networks that are refused otherwise. IPv4 networks match
	// IPv4 addresses also when they come mapped into IPv6.
	Allow []netip.Prefix
}

// Check returns an error that wraps [ErrRefused] unless addr may be dialled.
func (g Guard) Check(addr netip.Addr) error {
	if !addr.IsValid() {
		return fmt.Errorf("%w: not an IP", ErrRefused)
	}
	plain := addr.Unmap().WithZone("")
	for _, p := range g.Allow {
		if p.Contains(plain) || p.Contains(addr.WithZone("")) {
			return nil
		}
	}
	if !plain.IsGlobalUnicast() || plain.IsPrivate() {
		return fmt.Errorf("%w: %s is not public", ErrRefused, plain)
	}
	if plain.Is6() && !globalIPv6.Contains(plain) {
		return fmt.Errorf("%w: %s is not public", ErrRefused, plain)
	}
	for _, p := range refused {
		if p.Contains(plain) {
			return fmt.Errorf("%w: %s is not public", ErrRefused, plain)
		}
	}
	return nil
}

// globalIPv6 is the only block from which public IPv6 addresses are given out.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

// Control is a net.Dialer.Control: it sees every address after name
// resolution, right before the connection is made.
func (g Guard) Control(network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return fmt.Errorf("%w: network %s", ErrRefused, network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: not an address", ErrRefused)
	}
	if ap.Port() == 0 || refusedPort(ap.Port()) {
		return fmt.Errorf("%w: port %d", ErrRefused, ap.Port())
	}
	return g.Check(ap.Addr())
}

// refusedPort reports ports of services that take an HTTP request for their
// own commands: they are refused even inside allowed networks.
func refusedPort(p uint16) bool {
	switch p {
	case 7, 9, 19, 21, 22, 23, 25, 53, 110, 119, 135, 137, 139, 143, 389, 445, 465, 513, 514, 587, 636, 993, 995, 1433, 2049, 3306, 3389, 5432, 6379, 6667, 11211, 27017:
		return true
	default:
		return false
	}
}
