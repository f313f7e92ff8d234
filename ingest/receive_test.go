package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

func memory(t rapid.TB) annals.Driver {
	t.Helper()
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A counting driver remembers the sizes of the commits that were made.
type counting struct {
	annals.Driver
	mu      sync.Mutex
	commits []int
	before  func(events []annals.Event)
}

func (c *counting) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	if c.before != nil {
		c.before(events)
	}
	done, err := c.Driver.Append(ctx, stream, expected, events)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.commits = append(c.commits, done.Count)
	}
	return done, err
}

func newCounting(t *testing.T) (*counting, *annals.Store) {
	c := &counting{Driver: memory(t)}
	s := annals.New(c, nil)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, s
}

func message(stream, id, data string) []byte {
	return fmt.Appendf(nil, `{"aggregateId":%q,"id":%q,"eventType":"T","eventData":%s}`, stream, id, data)
}

func delivered(bodies ...[]byte) []Delivery {
	all := make([]Delivery, len(bodies))
	for i, body := range bodies {
		all[i] = Delivery{fmt.Sprint("d", i), body}
	}
	return all
}

// verdicts writes an outcome a line: what became of its messages.
func verdicts(outcomes []Outcome) string {
	var lines []string
	for _, o := range outcomes {
		var words []string
		for _, m := range o.Messages {
			word := string(m.Status)
			if m.Version > 0 {
				word += fmt.Sprint("@", m.Version)
			}
			words = append(words, word)
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(lines, "\n")
}

func streamIDs(t rapid.TB, s *annals.Store, stream string) (ids []string) {
	t.Helper()
	for e, err := range s.Stream(context.Background(), stream, nil) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

// A receiveCase is a batch and what is to become of it.
type receiveCase struct {
	stored [][]byte // in commits of their own
	bodies [][]byte
	want   string
	commit []int // sizes of commits to stream s
	ids    []string
}

func receiveCases() map[string]receiveCase {
	huge := `"` + strings.Repeat("x", annals.MaxDataBytes) + `"`
	return map[string]receiveCase{
		"one stream is one commit": {
			bodies: [][]byte{message("s", "1", "1"), message("s", "2", "2"), message("s", "3", "3")},
			want:   "stored@1\nstored@2\nstored@3", commit: []int{3}, ids: []string{"1", "2", "3"},
		},
		"an array and lines in a delivery": {
			bodies: [][]byte{[]byte(`[` + string(message("s", "1", "1")) + `,` + string(message("s", "2", "2")) + `]`), []byte(string(message("s", "3", "3")) + "\n{\n" + string(message("s", "4", "4")))},
			want:   "stored@1 stored@2\nstored@3 refused stored@4", commit: []int{4}, ids: []string{"1", "2", "3", "4"},
		},
		"a repetition in the batch": {
			bodies: [][]byte{message("s", "1", "1"), message("s", "1", "1"), message("s", "2", "2")},
			want:   "stored@1\nreplayed@1\nstored@2", commit: []int{2}, ids: []string{"1", "2"},
		},
		"an id reused in the batch": {
			bodies: [][]byte{message("s", "1", "1"), message("s", "1", "0"), message("s", "2", "2")},
			want:   "stored@1\nrefused\nstored@2", commit: []int{1, 1}, ids: []string{"1", "2"},
		},
		"an id that is stored with other content": {
			stored: [][]byte{message("s", "2", "0")},
			bodies: [][]byte{message("s", "1", "1"), message("s", "2", "2"), message("s", "3", "3")},
			want:   "stored@2\nrefused\nstored@3", commit: []int{2}, ids: []string{"2", "1", "3"},
		},
		"some were stored": {
			stored: [][]byte{message("s", "0", "0"), message("s", "2", "2"), message("s", "1", "1")},
			bodies: [][]byte{message("s", "1", "1"), message("s", "2", "2"), message("s", "3", "3"), message("s", "4", "4")},
			want:   "replayed@3\nreplayed@2\nstored@4\nstored@5", commit: []int{2}, ids: []string{"0", "2", "1", "3", "4"},
		},
		"all were stored": {
			stored: [][]byte{message("s", "1", "1"), message("s", "2", "2")},
			bodies: [][]byte{message("s", "1", "1"), message("s", "2", "2")},
			want:   "replayed@1\nreplayed@2", ids: []string{"1", "2"},
		},
		"bad ones among good ones": {
			bodies: [][]byte{message("s", "1", "1"), message("s", "2", huge), []byte(`{"aggregateId":"s","eventType":" "}`), []byte("\x00"), []byte("\xff"), {}, []byte(`[]`), []byte(`{"aggregateId":"../s","eventType":"T"}`), message("s", "3", "3")},
			want:   "stored@1\nrefused\nrefused\nrefused\nrefused\nrefused\nrefused\nrefused\nstored@2", commit: []int{1, 1}, ids: []string{"1", "3"},
		},
		"without ids": {
			bodies: [][]byte{[]byte(`{"aggregateId":"s","eventType":"T"}`), []byte(`[{"aggregateId":"s","eventType":"T"},{"aggregateId":"s","eventType":"T"}]`)},
			want:   "stored@1\nstored@2 stored@3", commit: []int{3}, ids: []string{"d0#1", "d1#1", "d1#2"},
		},
	}
}

func TestReceive(t *testing.T) {
	for name, c := range receiveCases() {
		t.Run(name, func(t *testing.T) {
			driver, store := newCounting(t)
			r := &Receiver{Store: store}
			for _, body := range c.stored {
				r.Receive(t.Context(), delivered(body))
			}
			driver.commits = nil
			if got := verdicts(r.Receive(t.Context(), delivered(c.bodies...))); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if !slices.Equal(driver.commits, c.commit) {
				t.Errorf("commits of %v events, want %v", driver.commits, c.commit)
			}
			if ids := streamIDs(t, store, "s"); !slices.Equal(ids, c.ids) {
				t.Errorf("the stream holds %v, want %v", ids, c.ids)
			}
		})
	}
}

func TestReceiveSplitsAtTheLimitsOfACommit(t *testing.T) {
	driver, store := newCounting(t)
	r := &Receiver{Store: store}
	many := make([]Delivery, 2*annals.MaxCommitEvents+1)
	for i := range many {
		many[i] = Delivery{fmt.Sprint(i), message("s", fmt.Sprint(i), "1")}
	}
	if got := verdicts(r.Receive(t.Context(), many)); strings.Count(got, "stored@") != len(many) {
		t.Fatal(got)
	}
	if !slices.Equal(driver.commits, []int{1000, 1000, 1}) {
		t.Fatalf("commits of %v", driver.commits)
	}
	driver.commits = nil
	large := make([]Delivery, 9)
	for i := range large {
		large[i] = Delivery{fmt.Sprint(i), message("large", fmt.Sprint(i), `"`+strings.Repeat("x", 900<<10)+`"`)}
	}
	if got := verdicts(r.Receive(t.Context(), large)); strings.Count(got, "stored@") != len(large) {
		t.Fatal(got)
	}
	if !slices.Equal(driver.commits, []int{4, 4, 1}) {
		t.Fatalf("commits of %v", driver.commits)
	}
}

// A redelivery of a long stream of which only a part was stored needs few appends.
func TestReceiveLeavesOutWhatIsStored(t *testing.T) {
	driver, store := newCounting(t)
	r := &Receiver{Store: store}
	var first, all []Delivery
	for i := range 500 {
		d := Delivery{fmt.Sprint(i), message("s", fmt.Sprint(i), "1")}
		if all = append(all, d); i%5 == 0 {
			first = append(first, d)
		}
	}
	r.Receive(t.Context(), first)
	tries := 0
	driver.before = func([]annals.Event) { tries++ }
	if got := verdicts(r.Receive(t.Context(), all)); strings.Count(got, "replayed@") != 100 || strings.Count(got, "stored@") != 400 {
		t.Fatal(got)
	}
	if tries != 2 || !slices.Equal(driver.commits, []int{100, 400}) {
		t.Fatalf("%d appends tried, commits of %v", tries, driver.commits)
	}
}

func TestReceiveFailsTheRestOfAStreamOnly(t *testing.T) {
	driver, _ := newCounting(t)
	down := true
	faulty := &failing{driver, func(stream string) bool { return down && stream == "s" }}
	r := &Receiver{Store: annals.New(faulty, &annals.Options{Pause: func(context.Context, int) {}})}
	batch := delivered(message("s", "1", "1"), message("o", "1", "1"), message("s", "2", "2"), []byte(`[`+string(message("o", "2", "2"))+`,`+string(message("s", "3", "3"))+`]`), []byte("{"))
	outcomes := r.Receive(t.Context(), batch)
	if got := verdicts(outcomes); got != "failed\nstored@1\nfailed\nstored@2 failed\nrefused" {
		t.Fatal(got)
	}
	if err := outcomes[3].Failed(); !errors.Is(err, annals.ErrUnavailable) {
		t.Fatalf("failed for %v", err)
	}
	if err := outcomes[1].Failed(); err != nil {
		t.Fatal(err)
	}
	down = false
	if got := verdicts(r.Receive(t.Context(), batch)); got != "stored@1\nreplayed@1\nstored@2\nreplayed@2 stored@3\nrefused" {
		t.Fatal(got)
	}
}

// What is wrong with the store is no fault of the messages: they come again.
func TestReceiveBlamesNoMessageForItsStore(t *testing.T) {
	for name, err := range map[string]error{
		"the bucket is elsewhere": &annals.Error{Code: annals.CodeInvalid, Message: "the bucket b is not in region r", Err: errors.New("PermanentRedirect")},
		"somebody else was first": &annals.ConflictError{Stream: "s", Actual: 3},
	} {
		driver, _ := newCounting(t)
		store := annals.New(answering{driver, err}, &annals.Options{Pause: func(context.Context, int) {}})
		line := message("s", "1", "1")
		if done, got := (&Runner{Store: store}).Run(t.Context(), Items(bytes.NewReader(line))); !errors.Is(got, err) || done.Total() != 0 {
			t.Errorf("%s: a Runner ended with %v after %+v", name, got, done)
		}
		r := &Receiver{Store: store}
		outcomes := r.Receive(t.Context(), delivered(message("s", "1", "1"), message("s", "2", "2")))
		if got := verdicts(outcomes); got != "failed\nfailed" || !errors.Is(outcomes[0].Failed(), err) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// An answering driver answers every append with an error.
type answering struct {
	annals.Driver
	err error
}

func (a answering) Append(context.Context, string, int64, []annals.Event) (annals.Commit, error) {
	return annals.Commit{}, a.err
}

// A failing driver refuses the appends to some streams.
type failing struct {
	annals.Driver
	fails func(stream string) bool
}

func (f *failing) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	if f.fails(stream) {
		return annals.Commit{}, annals.ErrUnavailable
	}
	return f.Driver.Append(ctx, stream, expected, events)
}

func TestReceiveFailsWhatItHasNoTimeFor(t *testing.T) {
	driver, store := newCounting(t)
	ctx, cancel := context.WithCancel(t.Context())
	driver.before = func([]annals.Event) { cancel() }
	r := &Receiver{Store: store, Workers: 1}
	got := verdicts(r.Receive(ctx, delivered(message("a", "1", "1"), message("b", "1", "1"), message("c", "1", "1"))))
	if !strings.HasSuffix(got, "\nfailed\nfailed") {
		t.Fatal(got)
	}
	driver.before = nil
	if got := verdicts(r.Receive(t.Context(), delivered(message("a", "1", "1"), message("b", "1", "1"), message("c", "1", "1")))); strings.Count(got, "@1") != 3 {
		t.Fatal(got)
	}
}

func TestReceiveRefusesAMessageThatPanics(t *testing.T) {
	driver, store := newCounting(t)
	driver.before = func(events []annals.Event) {
		for i := range events {
			if events[i].ID == "2" {
				panic("poison")
			}
		}
	}
	outcomes := (&Receiver{Store: store}).Receive(t.Context(), delivered(message("s", "1", "1"), message("s", "2", "2"), message("s", "3", "3")))
	if got := verdicts(outcomes); got != "stored@1\nrefused\nstored@2" {
		t.Fatal(got)
	}
	if why := outcomes[1].Messages[0].Reason.Error(); !strings.Contains(why, "poison") || !strings.Contains(why, "receive_test.go") {
		t.Fatalf("no stack in %s", why)
	}
}

// The stream of an effect waits for that of its cause, so that a log which is
// numbered as it is appended has them in this order.
func TestReceiveStoresCausesFirst(t *testing.T) {
	_, store := newCounting(t)
	var batch []Delivery
	for i := range 40 {
		cause := fmt.Sprintf(`{"specversion":"1.0","id":"c","source":"s","type":"T","stream":"cause-%d"}`, i)
		effect := fmt.Sprintf(`{"specversion":"1.0","id":"e","source":"s","type":"T","stream":"effect-%d","causation":"cause-%d@1"}`, i, i)
		batch = append(batch, Delivery{fmt.Sprint("c", i), []byte(cause)}, Delivery{fmt.Sprint("e", i), []byte(effect)})
	}
	(&Receiver{Store: store, Workers: 8}).Receive(t.Context(), batch)
	seen := map[string]bool{}
	for e, err := range store.Log(t.Context(), annals.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Stream] = true
		if cause, ok := strings.CutPrefix(e.Stream, "effect-"); ok && !seen["cause-"+cause] {
			t.Fatalf("%s is before its cause", e.Stream)
		}
	}
	if len(seen) != 80 {
		t.Fatalf("%d streams", len(seen))
	}
}

// A batch of many deliveries of many short messages is taken in several goes, in order.
func TestReceiveIsBounded(t *testing.T) {
	_, store := newCounting(t)
	r := &Receiver{Store: store}
	junk := []byte(strings.Repeat("x\n", MaxDeliveryMessages))
	batch := delivered(junk, junk, message("s", "1", "1"), junk, junk, junk, message("s", "2", "2"), junk)
	outcomes := r.Receive(t.Context(), batch)
	for i := range outcomes {
		if err := outcomes[i].Failed(); (err != nil) != (i > 5) || i > 5 && !errors.Is(err, ErrNextBatch) {
			t.Errorf("delivery %d: %v", i, err)
		}
	}
	r.Receive(t.Context(), batch[6:])
	if got := streamIDs(t, store, "s"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("the stream holds %v", got)
	}
}

// manyFrom is a delivery of so many messages for stream s, from a number on.
func manyFrom(id string, from, n int) Delivery {
	var lines []byte
	for i := range n {
		lines = append(append(lines, message("s", fmt.Sprint(from+i), "1")...), '\n')
	}
	return Delivery{id, lines}
}

// More messages of one stream than a store knows the ids of are told by reading it.
func TestReceiveKnowsALongDeliveryAgain(t *testing.T) {
	driver, _ := newCounting(t)
	appends, down := 0, true
	faulty := &failing{&forgetful{driver}, func(string) bool { appends++; return down && appends == 3 }}
	r := &Receiver{Store: annals.New(faulty, nil)}
	batch := []Delivery{manyFrom("d", 0, 2500)}
	if err := r.Receive(t.Context(), batch)[0].Failed(); !errors.Is(err, annals.ErrUnavailable) {
		t.Fatal(err)
	}
	down = false
	got := verdicts(r.Receive(t.Context(), batch))
	if strings.Count(got, "replayed@") != 2000 || strings.Count(got, "stored@") != 500 {
		t.Fatalf("%.500s", got)
	}
	again := manyFrom("d", 0, 2500)
	again.Body = append(again.Body, message("s", "7", `"other"`)...)
	got = verdicts(r.Receive(t.Context(), []Delivery{again}))
	if strings.Count(got, "replayed@") != 2500 || !strings.HasSuffix(got, " refused") {
		t.Fatalf("%.500s", got)
	}
	ids := streamIDs(t, r.Store, "s")
	for i, id := range ids {
		if id != fmt.Sprint(i) {
			t.Fatalf("version %d is %s", i+1, id)
		}
	}
	if len(ids) != 2500 {
		t.Fatalf("%d events", len(ids))
	}
}

// Whatever part of a batch comes again alone, it is known.
func TestReceivePostponesWhatItCouldNotTellAgain(t *testing.T) {
	driver, _ := newCounting(t)
	r := &Receiver{Store: annals.New(&forgetful{driver}, nil), PerStream: annals.MaxCommitEvents}
	all := []Delivery{manyFrom("d0", 0, 900), {"x", message("other", "1", "1")}, manyFrom("d1", 900, 100), manyFrom("d2", 1000, 900), manyFrom("d3", 1900, 1)}
	outcomes := r.Receive(t.Context(), all)
	for i, want := range []bool{false, false, false, true, true} {
		if err := outcomes[i].Failed(); (err != nil) != want || want && !errors.Is(err, ErrNextBatch) {
			t.Errorf("delivery %d: %v", i, err)
		}
	}
	for at := range all { // one by one, as a batch is cut to find the one at fault
		if err := r.Receive(t.Context(), all[at:at+1])[0].Failed(); err != nil {
			t.Fatal(err)
		}
	}
	ids := streamIDs(t, r.Store, "s")
	for i, id := range ids {
		if id != fmt.Sprint(i) {
			t.Fatalf("version %d is %s", i+1, id)
		}
	}
	if len(ids) != 1901 {
		t.Fatalf("%d events", len(ids))
	}
}

// A forgetful driver knows the ids of the last 1,000 events of a stream only, which
// is all that a driver has to.
type forgetful struct{ annals.Driver }

func (f *forgetful) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	var old []annals.Event
	n := 0
	for e, err := range f.Driver.Stream(ctx, stream, 1, 1<<62, true) {
		if err != nil {
			return annals.Commit{}, err
		}
		if n++; n > annals.MaxCommitEvents {
			old = append(old, e)
		}
	}
	for i := range events {
		if slices.ContainsFunc(old, func(e annals.Event) bool { return e.ID == events[i].ID }) {
			return annals.Commit{}, fmt.Errorf("event %s would be stored twice: %w", events[i].ID, annals.ErrDamaged)
		}
	}
	return f.Driver.Append(ctx, stream, expected, events)
}

// A store that knows an id and can't show its event ends in refusals, not in a circle.
func TestReceiveEndsWhereTheStoreContradictsItself(t *testing.T) {
	driver, _ := newCounting(t)
	r := &Receiver{Store: annals.New(contradicting{driver}, nil)}
	if got := verdicts(r.Receive(t.Context(), delivered(message("s", "1", "1"), message("s", "2", "2")))); got != "refused\nrefused" {
		t.Fatal(got)
	}
}

type contradicting struct{ annals.Driver }

func (contradicting) Append(_ context.Context, stream string, _ int64, events []annals.Event) (annals.Commit, error) {
	return annals.Commit{}, &annals.DuplicateError{Stream: stream, ID: events[0].ID, Version: 1}
}
