package dynamoview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithy "github.com/aws/smithy-go"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// script plants faults in the tries of one operation, one each.
func script(operation string, faults ...fault) func(string) *fault {
	return func(o string) *fault {
		if o != operation || len(faults) == 0 {
			return nil
		}
		f := faults[0]
		faults = faults[1:]
		return &f
	}
}

func repeat(f fault, n int) []fault {
	list := make([]fault, n)
	for i := range list {
		list[i] = f
	}
	return list
}

func wantData(t *testing.T, s *Store, key, want string) {
	t.Helper()
	got, err := s.Get(t.Context(), "a", key)
	if err != nil || string(got[key].Data) != want {
		t.Fatalf("document %s has %q, %v; want %q", key, got[key].Data, err, want)
	}
}

// What Commit says by what happens to its tries.
func TestOutcomesOfChanges(t *testing.T) {
	before, after := doubtfulFaults[0], doubtfulFaults[1]
	const all = 8 // tries of the SDK
	for _, c := range []struct {
		name     string
		faults   []fault
		want     error // of the put
		transact error // of the transaction
		made     bool
	}{
		{name: "nothing happens", made: true},
		{name: "the reply is lost", faults: []fault{after}, made: true},
		{name: "the request is lost", faults: []fault{before}, made: true},
		{name: "several replies are lost", faults: []fault{after, after, doubtfulFaults[3], after}, made: true},
		// The second try of a put is refused because of the first, and that is a reply.
		{name: "all replies are lost", faults: repeat(after, all), made: true, transact: annals.ErrUnknownOutcome},
		{name: "all requests are lost", faults: repeat(before, all), want: annals.ErrUnknownOutcome, transact: annals.ErrUnknownOutcome},
		{name: "the server fails for long", faults: repeat(doubtfulFaults[2], all), want: annals.ErrUnknownOutcome, transact: annals.ErrUnknownOutcome},
		{
			name:   "the server fails and says only its code",
			faults: repeat(fault{name: "5xx", err: &smithy.GenericAPIError{Code: "InternalServerError", Fault: smithy.FaultServer}}, all), want: annals.ErrUnknownOutcome, transact: annals.ErrUnknownOutcome,
		},
		{name: "it is throttled for long", faults: repeat(clearFaults[0], all), want: annals.ErrUnavailable, transact: annals.ErrUnavailable},
		{name: "a lost request, then throttled for long", faults: append([]fault{before}, repeat(clearFaults[0], all)...), want: annals.ErrUnknownOutcome, transact: annals.ErrUnknownOutcome},
		{name: "it is not allowed", faults: []fault{{name: "denied", err: &smithy.GenericAPIError{Code: "AccessDeniedException", Fault: smithy.FaultClient}}}, want: errForbidden, transact: errForbidden},
		{name: "it meets others", faults: repeat(meeting, 3), made: true},
		{name: "it meets others for long", faults: repeat(meeting, maxTries), want: annals.ErrUnavailable, transact: annals.ErrUnavailable},
		{name: "a lost request, then it meets others for long", faults: append([]fault{before}, repeat(meeting, maxTries)...), want: annals.ErrUnknownOutcome, transact: annals.ErrUnknownOutcome},
	} {
		for _, documents := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d documents", c.name, documents), func(t *testing.T) {
				l := &layer{}
				s := newStore(t, l.install)
				operation, want := "PutItem", c.want
				if documents == 2 {
					operation, want = "TransactWriteItems", c.transact
				}
				l.pick = script(operation, inWordsOf(operation, c.faults)...)
				err := s.Commit(t.Context(), view.Change{
					Expect: []view.Expectation{{Key: view.Key{Space: "a", Key: "1"}}},
					Put:    []view.Put{put("a", "1", `1`), put("a", "2", `2`)}[:documents],
				})
				l.pick = nil
				if want == nil && err != nil || want != nil && !is(err, want) {
					t.Fatalf("got %v, want %v", err, want)
				}
				wantData(t, s, "1", map[bool]string{true: `1`}[c.made])
			})
		}
	}
}

// meeting is a conflict of transactions in the words of no operation.
var meeting = fault{name: "meeting"}

func inWordsOf(operation string, faults []fault) []fault {
	words := make([]fault, len(faults))
	for i, f := range faults {
		if words[i] = f; f.name == meeting.name {
			words[i] = map[string]fault{"PutItem": clearFaults[2], "TransactWriteItems": clearFaults[3]}[operation]
		}
	}
	return words
}

// errForbidden stands for the one code that has no error of its own.
var errForbidden = errors.New("forbidden")

func is(err, want error) bool {
	if want == errForbidden {
		return annals.CodeOf(err) == annals.CodeForbidden
	}
	return errors.Is(err, want)
}

// A put that finds the same data there has not put it.
func TestSameDataOfAnotherWriterIsAConflict(t *testing.T) {
	s := newStore(t)
	c := view.Change{Expect: []view.Expectation{{Key: view.Key{Space: "a", Key: "1"}}}, Put: []view.Put{put("a", "1", `1`)}}
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), c); !errors.Is(err, annals.ErrConflict) {
		t.Fatalf("got %v", err)
	}
}

// Ours may have been put, and replaced since.
func TestAPutWhoseRequestWasLostAndThatFindsAnotherIsUnknown(t *testing.T) {
	l := &layer{}
	s := newStore(t, l.install)
	l.pick = func(o string) *fault {
		l.pick = nil
		other := mustOpenBeside(t, s)
		if err := other.Commit(t.Context(), view.Change{Put: []view.Put{put("a", "1", `"of another"`)}}); err != nil {
			t.Error(err)
		}
		return &doubtfulFaults[0]
	}
	err := s.Commit(t.Context(), view.Change{Expect: []view.Expectation{{Key: view.Key{Space: "a", Key: "1"}}}, Put: []view.Put{put("a", "1", `1`)}})
	if !errors.Is(err, annals.ErrUnknownOutcome) {
		t.Fatalf("got %v", err)
	}
	wantData(t, s, "1", `"of another"`)
}

func mustOpenBeside(t *testing.T, s *Store) *Store {
	return mustOpen(t, newClient(*s.db.Options().BaseEndpoint), s.table)
}

func TestAConflictNamesTheDocument(t *testing.T) {
	s := newStore(t)
	if err := s.Commit(t.Context(), view.Change{Put: []view.Put{put("a", "1", `1`), put("b", "2", `2`)}}); err != nil {
		t.Fatal(err)
	}
	for i, e := range []view.Expectation{{Key: view.Key{Space: "a", Key: "1"}}, {Key: view.Key{Space: "b", Key: "2"}, Data: []byte(`3`)}, {Key: view.Key{Space: "c", Key: "3"}, Data: []byte(`3`)}} {
		for _, c := range []view.Change{
			{Put: []view.Put{put("a", "x", `1`), put(e.Space, e.Key.Key, `1`)}},
			{Put: []view.Put{put("a", "x", `1`)}, Delete: []view.Key{e.Key}},
			{Put: []view.Put{put("a", "x", `1`)}},
			{},
		} {
			c.Expect = []view.Expectation{{Key: view.Key{Space: "z", Key: "none"}}, e}
			err := s.Commit(t.Context(), c)
			if want := fmt.Sprintf("document %q of %s ", e.Key.Key, e.Space); !errors.Is(err, annals.ErrConflict) || !strings.Contains(err.Error(), want) {
				t.Errorf("expectation %d: %v, want a conflict about %s", i, err, want)
			}
		}
	}
}

func TestAChangeOfTooManyBytesIsTooLargeAndNothingIsSent(t *testing.T) {
	l := &layer{}
	s := newStore(t, l.install)
	var c view.Change
	for i := range 16 {
		c.Put = append(c.Put, put("a", numbered(i), `"`+strings.Repeat("x", view.MaxDocumentBytes-2)+`"`))
	}
	if err := s.Commit(t.Context(), c); !errors.Is(err, annals.ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	if l.tries["TransactWriteItems"] != 0 {
		t.Error("it was sent")
	}
	c.Put = c.Put[:15]
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, refusal := range []error{
		canceled("None", "ItemSizeLimitExceeded"),
		&smithy.GenericAPIError{Code: "ValidationException", Message: "Transaction size exceeds the limit of 4 MB", Fault: smithy.FaultClient},
	} {
		l.pick = script("TransactWriteItems", fault{name: "refused", err: refusal})
		if err := s.Commit(t.Context(), c); !errors.Is(err, annals.ErrTooLarge) {
			t.Errorf("%v: got %v", refusal, err)
		}
	}
}

func TestATransactionThatStillRunsIsAskedForAgain(t *testing.T) {
	l := &layer{}
	s := newStore(t, l.install)
	running := fault{name: "running", err: &types.TransactionInProgressException{Message: aws.String("planted")}}
	l.pick = script("TransactWriteItems", doubtfulFaults[1], running, running)
	c := view.Change{Expect: []view.Expectation{{Key: view.Key{Space: "a", Key: "1"}}}, Put: []view.Put{put("a", "1", `1`), put("a", "2", `2`)}}
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if l.planted["running"] != 2 {
		t.Errorf("planted %v", l.planted)
	}
	wantData(t, s, "2", `2`)
}

// A caller that goes away, or a Store that is closed, while a change is on its way
// leaves it open whether it was made.
func TestAChangeThatIsLeftInItsMiddleIsUnknown(t *testing.T) {
	for _, operation := range []string{"PutItem", "TransactWriteItems"} {
		for _, closed := range []bool{false, true} {
			l := &layer{}
			s := newStore(t, l.install)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l.pick = func(string) *fault {
				if cancel(); closed {
					_ = s.Close()
				}
				return &doubtfulFaults[0]
			}
			c := view.Change{Put: []view.Put{put("a", "1", `1`), put("a", "2", `2`)}}
			if operation == "PutItem" {
				c.Put = c.Put[:1]
			}
			if err := s.Commit(ctx, c); !errors.Is(err, annals.ErrUnknownOutcome) {
				t.Errorf("%s, closed %t: %v", operation, closed, err)
			}
		}
	}
}
