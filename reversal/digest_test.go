package reversal_test

import (
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/reversal"
)

// A digest is that of what a plan does: it changes with the streams that the plan
// touches and with the id, and not with the reason or with what others do elsewhere.
func TestDigest(t *testing.T) {
	w := newWorld(t)
	w.add(t, "s", `p {"a":1}`, `p {"a":2}`)
	w.add(t, "other", `p {"a":1}`)
	plan := func(id, reason string) *reversal.Plan {
		return w.plan(t, at("s", 2), &reversal.Options{ID: id, Reason: reason})
	}
	first := plan("rev-1", "")
	reason := plan("rev-1", "entered twice")
	if first.Digest() != reason.Digest() {
		t.Error("the reason changes the digest")
	}
	if reason.Streams[0].Events[0].Attributes[reversal.AttributeReason] == "" {
		t.Error("Digest has changed the plan")
	}
	if first.Digest() == plan("rev-2", "").Digest() {
		t.Error("the id does not change the digest")
	}
	w.add(t, "other", `p {"a":2}`)
	if first.Digest() != plan("rev-1", "").Digest() {
		t.Error("another stream changes the digest")
	}
	w.add(t, "s", `p {}`)
	if first.Digest() == plan("rev-1", "").Digest() {
		t.Error("an event in the stream does not change the digest")
	}
	byQuery := reversal.Target{Query: &annals.Query{Prefix: "other"}}
	before := w.plan(t, byQuery, &reversal.Options{ID: "rev-1"})
	w.add(t, "other-2", `p {"a":2}`)
	if before.Digest() == w.plan(t, byQuery, &reversal.Options{ID: "rev-1"}).Digest() {
		t.Error("a further stream does not change the digest")
	}
}
