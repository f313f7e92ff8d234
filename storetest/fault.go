package storetest

import (
	"context"
	"testing"

	"github.com/eb901187/annals"
)

type faultClause struct {
	name string
	test func(t *testing.T, s *annals.Store, f *Faulty)
}

var faultClauses = []faultClause{
	{"a lost request is sent again", func(t *testing.T, s *annals.Store, f *Faulty) {
		f.FailAppends(LostRequest, LostRequest)
		if c := mustAppend(t, s, "a", 0, Event("1", "T", `1`)); c.Version != 1 || c.Replayed {
			t.Fatalf("got %+v", c)
		}
		wantIDs(t, s.Log(t.Context(), annals.Query{}), "1")
	}},
	{"a lost reply is resolved to the commit that landed", func(t *testing.T, s *annals.Store, f *Faulty) {
		for i, expected := range []int64{0, annals.Any, 2} {
			f.FailAppends(LostReply)
			if c := mustAppend(t, s, "a", expected, annals.Event{Type: "T"}); c.Version != int64(i+1) || c.Count != 1 || c.Position == 0 {
				t.Fatalf("got %+v", c)
			}
		}
		wantVersion(t, s, "a", 3)
	}},
	{"a lost reply behind lost requests is found by looking", func(t *testing.T, s *annals.Store, f *Faulty) {
		f.FailAppends(LostReply, LostRequest, LostRequest)
		if c := mustAppend(t, s, "a", 0, Event("1", "T", `1`), Event("2", "T", `1`)); c.Version != 2 || c.Count != 2 {
			t.Fatalf("got %+v", c)
		}
		wantIDs(t, s.Log(t.Context(), annals.Query{}), "1", "2")
	}},
	{"an outcome that can't be learned is called unknown, and appending again is safe", func(t *testing.T, s *annals.Store, f *Faulty) {
		f.FailAppends(LostReply, LostRequest, LostRequest)
		f.FailReads(Refused)
		_, err := s.Append(t.Context(), "a", 0, Event("1", "T", `1`))
		wantError(t, err, annals.ErrUnknownOutcome)
		if c := mustAppend(t, s, "a", 0, Event("1", "T", `1`)); !c.Replayed || c.Version != 1 {
			t.Fatalf("got %+v", c)
		}
	}},
	{"an unknown outcome stays unknown when the store then refuses", func(t *testing.T, s *annals.Store, f *Faulty) {
		f.FailAppends(LostRequest, Refused, Refused)
		_, err := s.Append(t.Context(), "a", 0, Event("1", "T", `1`))
		wantError(t, err, annals.ErrUnknownOutcome)
	}},
	{"a refused append is not sent again", func(t *testing.T, s *annals.Store, f *Faulty) {
		f.FailAppends(Refused)
		_, err := s.Append(t.Context(), "a", 0, Event("1", "T", `1`))
		wantError(t, err, annals.ErrUnavailable)
		wantVersion(t, s, "a", 0)
	}},
	{"a lost request with a conflict behind it is a conflict", func(t *testing.T, s *annals.Store, f *Faulty) {
		mustAppend(t, s, "a", 0, Event("1", "T", `1`))
		f.FailAppends(LostRequest)
		_, err := s.Append(t.Context(), "a", 0, Event("2", "T", `1`))
		wantConflict(t, err, 0, 1)
	}},
	{"an unknown outcome is looked after though the context has ended", func(t *testing.T, s *annals.Store, f *Faulty) {
		ctx, cancel := context.WithCancel(t.Context())
		f.FailAppends(LostReply)
		canceling := annals.New(f, &annals.Options{Pause: func(context.Context, int) { cancel() }})
		c, err := canceling.Append(ctx, "a", 0, Event("1", "T", `1`))
		if err != nil || c.Version != 1 {
			t.Fatalf("got %+v, %v", c, err)
		}
	}},
}
