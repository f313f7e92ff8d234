package effect

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

func TestDefaultAddresses(t *testing.T) {
	for address, allowed := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "93.184.216.34": true, "2606:2800:220:1::1": true, "64:ff9b::5db8:d822": true,
		"169.254.169.254": false, "169.254.1.1": false, "fe80::1": false, "fe80::1%eth0": false, "100.100.100.200": false,
		"fd00:ec2::254": false, "224.0.0.1": false, "ff02::1": false, "0.0.0.0": false, "::": false, "255.255.255.255": false,
		"::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "2002:a9fe:a9fe::1": false, "::169.254.169.254": false,
	} {
		if err := DefaultAddresses().check(netip.MustParseAddr(address)); (err == nil) != allowed || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", address, err)
		}
	}
	some := &Addresses{Deny: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for address, allowed := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.1.2.3": false} {
		if err := some.check(netip.MustParseAddr(address)); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
}

type roundTripper struct{ http.RoundTripper }

// Which bases are made to check addresses.
func TestBase(t *testing.T) {
	own := &http.Transport{DialContext: (&net.Dialer{}).DialContext}
	plain := &http.Transport{MaxIdleConns: 7}
	for name, test := range map[string]struct {
		base    http.RoundTripper
		checked bool
	}{
		"none": {nil, true}, "default": {http.DefaultTransport, true}, "plain": {plain, true},
		"own dialer": {own, false}, "other": {roundTripper{own}, false},
	} {
		tr := &Transport{Base: test.base}
		tr.start()
		base, is := tr.base.(*http.Transport)
		checked := is && base != own
		if checked != test.checked || is != tr.reports {
			t.Errorf("%s: %+v", name, tr.base)
		}
		if checked {
			if _, err := base.DialContext(t.Context(), "tcp", "169.254.169.254:80"); !errors.Is(err, ErrForbidden) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if plain.DialContext != nil {
		t.Error("the caller's transport was changed")
	}
}
