package annals_test

import (
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// Both hashes were computed by a program in another language from the description of
// Digest and Link: they may never change, or old proofs fail.
func TestHashesOfACommitStayTheSame(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	events := []annals.Event{
		{ID: "1", Type: "placed", Source: "shop", Time: at, Correlation: "r", Causation: "s@1", Attributes: map[string]string{"subject": "x", "a": "b"}, Data: []byte(`{"n":1}`)},
		{ID: "2", Type: "paid", Source: "shop", Time: at.Add(-100 * 365 * 24 * time.Hour), ContentType: "text/plain"},
	}
	digest := annals.Digest("order/1", events)
	if got, want := digest.String(), "b260edd9f0286d69bb3e7f9fd8104ad19fdb6a0a2196199afb3d286982ccb8ab"; got != want {
		t.Errorf("digest %s, not %s", got, want)
	}
	if got, want := annals.Link(annals.Hash{1}, 7, 2, digest).String(), "828c7d79910efdbd4f8397b4d46e3f03f3b34c1dc2579b3c6fdbcba902a57726"; got != want {
		t.Errorf("link %s, not %s", got, want)
	}
}

func TestParseHash(t *testing.T) {
	h := annals.Digest("s", nil)
	if got, err := annals.ParseHash(h.String()); err != nil || got != h {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "00", h.String() + "00", h.String()[:62] + "zz"} {
		if _, err := annals.ParseHash(bad); annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
