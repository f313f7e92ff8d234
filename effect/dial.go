package effect

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/eb901187/annals"
)

// Addresses says which addresses calls may reach. An address is refused with
// ErrForbidden if one of Deny holds it and none of Allow does. It is checked when a
// connection is made, after names were resolved, also in the form of an IPv6 address
// that holds an IPv4 address. Where Base goes through a proxy that is the proxy's
// address; where the request goes from there is not seen.
type Addresses struct{ Allow, Deny []netip.Prefix }

// DefaultAddresses refuses link-local and multicast addresses, the unspecified one, and
// those at which clouds tell machines their credentials.
func DefaultAddresses() *Addresses {
	a := &Addresses{}
	for _, p := range []string{
		"169.254.0.0/16", "fe80::/10", // link-local; the metadata of AWS, Azure, GCP and others
		"fd00:ec2::/32",      // metadata and other services of AWS
		"100.100.100.200/32", // metadata of Alibaba
		"224.0.0.0/4", "255.255.255.255/32", "ff00::/8",
		"0.0.0.0/8", "::/128",
	} {
		a.Deny = append(a.Deny, netip.MustParsePrefix(p))
	}
	return a
}

func (a *Addresses) check(ip netip.Addr) error {
	for _, ip := range forms(ip) {
		holds := func(p netip.Prefix) bool { return p.Contains(ip) }
		if slices.ContainsFunc(a.Deny, holds) && !slices.ContainsFunc(a.Allow, holds) {
			return &annals.Error{
				Code: annals.CodeForbidden, Err: ErrForbidden,
				Message: fmt.Sprintf("an outside call would reach %s", ip),
				Hint:    "effect.Transport.Addresses says which addresses are refused",
			}
		}
	}
	return nil
}

// forms are the addresses that ip reaches: itself, and the IPv4 address in one that is
// mapped (RFC 4291), translated (NAT64, RFC 6052) or tunneled (6to4, RFC 3056).
func forms(ip netip.Addr) []netip.Addr {
	ip = ip.WithZone("")
	if ip.Is4In6() {
		return []netip.Addr{ip.Unmap()}
	}
	all := []netip.Addr{ip}
	if !ip.Is6() {
		return all
	}
	b := ip.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip),
		netip.MustParsePrefix("::/96").Contains(ip) && ip != netip.IPv6Unspecified() && ip != netip.IPv6Loopback():
		all = append(all, netip.AddrFrom4([4]byte(b[12:16])))
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		all = append(all, netip.AddrFrom4([4]byte(b[2:6])))
	}
	return all
}

// start prepares what t sends by.
func (t *Transport) start() {
	t.base = t.Base
	if t.base == nil {
		t.base = &http.Transport{
			ForceAttemptHTTP2: true, MaxIdleConns: 256, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
		}
	}
	own, ok := t.base.(*http.Transport)
	if t.reports = ok; !ok {
		return
	}
	//lint:ignore SA1019 a Transport may still be made with these
	if t.base != http.DefaultTransport && (own.DialContext != nil || own.DialTLSContext != nil || own.Dial != nil || own.DialTLS != nil) {
		return
	}
	if t.Base != nil {
		own = own.Clone()
	}
	own.DialContext = t.dialer().DialContext
	t.base = own
}

func (t *Transport) dialer() *net.Dialer {
	allowed := t.Addresses
	if allowed == nil {
		allowed = DefaultAddresses()
	}
	return &net.Dialer{
		Timeout: 10 * time.Second,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !strings.HasPrefix(network, "tcp") {
				return fmt.Errorf("%w: %s %s", ErrForbidden, network, address)
			}
			return allowed.check(to.Addr())
		},
	}
}
