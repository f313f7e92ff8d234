package access

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// byName recognizes as a token every name that starts with k.
type byName map[string]Rate

func (b byName) Authenticate(_ context.Context, token string) (Principal, error) {
	if token[0] != 'k' {
		return Principal{}, &annals.Error{Code: annals.CodeUnauthorized, Message: "not known"}
	}
	return Principal{Name: token, Rate: b[token]}, nil
}

func TestRates(t *testing.T) {
	for text, want := range map[string]Rate{"100/s": {100, 100}, "0.5/s": {0.5, 1}, "2/s:50": {2, 50}, "1000000/s": {1e6, 1e6}} {
		r, err := ParseRate(text)
		if again, _ := ParseRate(r.String()); err != nil || r != want || again != want {
			t.Errorf("%s: %v, %v, %v", text, r, again, err)
		}
	}
	for _, text := range []string{"", "100", "/s", "0/s", "-1/s", "NaN/s", "Inf/s", "1e7/s", "1/s:", "1/s:0", "1/s:-1", "1/s:1e3", "1/m", "1/s:2:3"} {
		if r, err := ParseRate(text); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
}

func TestLimited(t *testing.T) {
	now := noon
	l := NewLimited(byName{"kfast": {100, 3}}, Limits{Each: Rate{1, 2}, Strangers: Rate{0.5, 2}}, func() time.Time { return now })
	from := func(address string) context.Context { return WithAddress(t.Context(), address) }
	ask := func(token, address string) string {
		_, err := l.Authenticate(from(address), token)
		var limit *LimitError
		if errors.As(err, &limit) {
			return fmt.Sprint(annals.CodeOf(err), " ", limit.Seconds())
		}
		return string(annals.CodeOf(err))
	}
	for i, c := range []struct {
		token, address string
		after          time.Duration
		want           string
	}{
		{"ka", "1.1.1.1", 0, ""}, {"ka", "1.1.1.2", 0, ""}, {"ka", "1.1.1.3", 0, "rate_limited 1"}, {"ka", "1.1.1.3", time.Second, ""}, {"kb", "1.1.1.1", 0, ""},
		{"kfast", "", 0, ""}, {"kfast", "", 0, ""}, {"kfast", "", 0, ""}, {"kfast", "", 0, "rate_limited 1"}, {"kfast", "", 10 * time.Millisecond, ""},
		{"x", "1.1.1.1", 0, "unauthorized"}, {"y", "1.1.1.1", 0, "unauthorized"}, {"z", "1.1.1.1", 0, "rate_limited 2"}, {"kc", "1.1.1.1", 0, ""}, {"z", "1.1.1.2", 0, "unauthorized"},
		{"x", "2001:db8::1", 0, "unauthorized"}, {"x", "2001:db8::2:1", 0, "unauthorized"}, {"x", "2001:db8::3%eth0", 0, "rate_limited 2"}, {"x", "2001:db8:1::", 0, "unauthorized"},
		{"z", "1.1.1.1", 2 * time.Second, "unauthorized"},
	} {
		now = now.Add(c.after)
		if got := ask(c.token, c.address); got != c.want {
			t.Errorf("%d: %s from %s: %q, not %q", i, c.token, c.address, got, c.want)
		}
	}
}

// Who has two tokens with different rates does not get a rested bucket each time the
// other one is used.
func TestLimitedTokensOfOneName(t *testing.T) {
	var b buckets
	let := 0
	for n := range 20 {
		if b.take("ann", Rate{1, 2 + n%2}, noon) == 0 {
			let++
		}
	}
	if let != 5 {
		t.Errorf("%d of 20 requests are let in by two rates with bursts of 2 and 3", let)
	}
}

// Without a limit nothing is kept, and with one at most so many names.
func TestLimitedKeepsLittle(t *testing.T) {
	now := noon
	l := NewLimited(byName{}, Limits{}, nil)
	for n := range 10 {
		if _, err := l.Authenticate(t.Context(), fmt.Sprint("k", n)); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.names.all) != 0 {
		t.Errorf("%d names", len(l.names.all))
	}
	l = NewLimited(byName{}, Limits{Each: Rate{1, 1}}, func() time.Time { return now })
	for n := range maxBuckets + 10 {
		if _, err := l.Authenticate(t.Context(), fmt.Sprint("k", n)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Authenticate(t.Context(), "k0"); n > 0 && annals.CodeOf(err) != annals.CodeRateLimited {
			t.Fatalf("who asks all the time is forgotten: %v", err)
		}
	}
	if len(l.names.all) != maxBuckets || l.names.used.Len() != maxBuckets {
		t.Errorf("%d names", len(l.names.all))
	}
}

func TestRefusalsAreNotedUpToARate(t *testing.T) {
	var r Refusals
	noted := 0
	for range 1000 {
		if r.Note(&Action{At: noon}) {
			noted++
		}
	}
	a := Action{At: noon.Add(time.Second), Detail: "d"}
	if noted != 60 || !r.Note(&a) || a.Detail != "d (940 refused before this are not noted)" {
		t.Errorf("%d, %+v", noted, a)
	}
}
