package annals_test

import (
	"fmt"
	"testing"

	"github.com/eb901187/annals"
)

// Trying again changes nothing for an erased subject: what is delivered for it must not
// hold up others.
func TestErasedSubjectIsARefusal(t *testing.T) {
	err := fmt.Errorf("receiving: %w", annals.ErasedSubject("s", &annals.Event{ID: "1"}))
	if !annals.IsRefusal(err) || annals.CodeOf(err) != annals.CodeErased {
		t.Fatalf("%v is of code %s", err, annals.CodeOf(err))
	}
}

// A name that somebody forgot to fill in must not store the data in clear.
func TestEmptySubjectIsRefused(t *testing.T) {
	e := annals.Event{ID: "1", Type: "t", Attributes: map[string]string{annals.SubjectAttribute: ""}}
	if err := annals.CheckAppend("s", e); annals.CodeOf(err) != annals.CodeInvalid {
		t.Fatal(err)
	}
}

func TestSubjectOfAnEvent(t *testing.T) {
	e := annals.Event{ID: "1", Type: "t", Attributes: map[string]string{annals.SubjectAttribute: "p1"}}
	if e.Subject() != "p1" || e.Erased() || (&annals.Event{}).Subject() != "" {
		t.Fatalf("%+v", e)
	}
	sealed := e
	sealed.ContentType, sealed.Data = annals.SealedContentType, make([]byte, annals.MaxDataBytes+annals.MaxSealBytes)
	if err := annals.CheckAppend("s", sealed); err != nil {
		t.Fatal(err)
	}
	sealed.Data = append(sealed.Data, 0)
	if err := annals.CheckAppend("s", sealed); annals.CodeOf(err) != annals.CodeTooLarge {
		t.Fatalf("a byte more than may be sealed: %v", err)
	}
}
