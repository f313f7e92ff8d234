package fold

import (
	"slices"
	"testing"

	"github.com/eb901187/annals"
)

func erased(eventType string) *annals.Event {
	e := event(eventType, "")
	e.ContentType, e.Attributes = annals.ErasedContentType, map[string]string{annals.SubjectAttribute: "p1"}
	return e
}

// An event that is erased never makes a fold fail: what can't do without its data leaves
// documents as they are.
func TestErasedEvents(t *testing.T) {
	r := rulesOf(t, "key: .data.customer // .stream\nfold:\n  named: '{name: $event.data.name, erased: $event.erased}'\n  listed: '{first: $event.data.list[0:1][0].name[1:] | ascii_downcase}'\n")
	for _, c := range []struct{ eventType, want string }{{"named", `{"erased":true,"name":null}`}, {"listed", `{"a":1}`}, {"other", `{"a":1}`}} {
		out, _, err := r.Apply(mustDecode(t, `{"a":1}`), erased(c.eventType), nil)
		if err != nil || mustEncode(t, out) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.eventType, mustEncode(t, out), err, c.want)
		}
	}
	if keys, err := r.Keys(erased("named")); err != nil || !slices.Equal(keys, []string{"order-7"}) {
		t.Errorf("keys %q, %v", keys, err)
	}
	byData := rulesOf(t, "key: .data.customer\nfold:\n  named: '{}'\n")
	if keys, err := byData.Keys(erased("named")); err != nil || len(keys) > 0 {
		t.Errorf("keys by the data that is gone: %q, %v", keys, err)
	}
	merge := MergePatchRules()
	for _, eventType := range []string{"named", "state-restored", annals.OwnPrefix + "state-restored"} {
		if out, op, err := merge.Apply(mustDecode(t, `{"a":1}`), erased(eventType), nil); err != nil || op != Keep || mustEncode(t, out) != `{"a":1}` {
			t.Errorf("%s merged: %s, op %d, %v", eventType, mustEncode(t, out), op, err)
		}
	}
}
