package playback

import (
	"testing"

	"github.com/eb901187/annals"
)

// A mask that puts something into an event's data leaves one without data that is erased.
func TestMaskLeavesErasedEventsErased(t *testing.T) {
	m, err := ParseMask("mask.jq", []byte(`.data.email = "nobody" | .correlation = null`))
	if err != nil {
		t.Fatal(err)
	}
	events := []annals.Event{{
		ID: "1", Type: "t", Source: "s", Stream: "a", Version: 1, Position: 1, Correlation: "r", ContentType: annals.ErasedContentType,
		Attributes: map[string]string{annals.SubjectAttribute: "p1"},
	}}
	if err := m.applyAll(events); err != nil {
		t.Fatal(err)
	}
	if e := events[0]; !e.Erased() || len(e.Data) > 0 || e.Subject() != "p1" || e.Correlation != "" {
		t.Fatalf("got %+v", e)
	}
}
