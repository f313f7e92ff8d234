package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/ingest"
	"github.com/eb901187/annals/lambda"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/robust/delivery"
	"github.com/eb901187/annals/view/pebbleview"
)

// A run delivers messages by a seed and knows what must come of them.
type run struct {
	*place
	random *rand.Rand
	queue  *delivery.Queue
	stream *delivery.Stream
	wrap   func(role lambda.Role, next delivery.Invoke) delivery.Invoke // a planted bug; nil for none
	handle reaction.Handler
	calm   bool // instances do not end, and outcomes are known
	kills  int
	steps  int
	aside  int // messages that were received too often
	shards int // changes of them

	lettersSent int       // of all runs that were added to this one
	only        *instance // what the next invocation is; for deaths at a chosen step

	want   map[string][]string // the ids of each stream; of those of Kinesis in order
	poison []string
	sent   []string // bodies that may be sent again
}

// odds of a run: a fifth of all comes again.
var odds = delivery.Odds{Again: 5, Twice: 20}

func newRun(seed uint64, driver annals.Driver) *run {
	random := rand.New(rand.NewPCG(seed, 0xde11))
	r := &run{
		place: &place{driver: driver, views: pebbleview.Memory(), objects: map[string]string{}}, random: random, handle: answering, want: map[string][]string{},
		queue:  &delivery.Queue{ARN: queueARN, Random: random, Odds: odds, MaxReceive: 3},
		stream: delivery.NewStream(streamARN, random, odds),
	}
	return r
}

func inMemory() (annals.Driver, error) {
	return embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
}

// send puts a message of any kind into the queue or the stream.
func (r *run) send(n int) {
	name := fmt.Sprintf("%d", r.random.IntN(3))
	if r.random.IntN(2) == 0 {
		name = "q-" + name
		body, ids, _ := r.message(name, n)
		if len(r.sent) > 0 && r.random.IntN(5) == 0 { // its sender did not hear that it was taken
			r.queue.Send(r.sent[r.random.IntN(len(r.sent))])
		}
		id := r.queue.Send(body)
		r.expect(name, id, ids)
		return
	}
	name = "k-" + name
	body, ids, again := r.message(name, n)
	id := r.stream.Put(name, body)
	r.expect(name, id, ids)
	if again && r.random.IntN(5) == 0 {
		r.stream.Put(name, body)
	}
}

// expect notes the ids of a message; one without gets that of its place.
func (r *run) expect(stream, place string, ids []string) {
	for i, id := range ids {
		if id == "" {
			id = fmt.Sprintf("%s#%d", place, i+1)
		}
		r.want[stream] = append(r.want[stream], id)
	}
}

// message is one of several shapes, with the ids that it will be stored under. It may be
// sent again where all of it has ids.
func (r *run) message(stream string, n int) (body string, ids []string, again bool) {
	one := func(id string) string {
		return fmt.Sprintf(`{"aggregateId":%q,"id":%q,"eventType":%q,"eventData":{"n":%d}}`, stream, id, arrived, n)
	}
	a, b := fmt.Sprintf("m%d", n), fmt.Sprintf("m%d-b", n)
	switch r.random.IntN(10) {
	case 0:
		return fmt.Sprintf(`{"aggregateId":%q,"eventType":%q}`, stream, arrived), []string{""}, false
	case 1:
		body, ids = "["+one(a)+","+one(b)+"]", []string{a, b}
	case 2:
		body, ids = one(a)+"\n"+one(b), []string{a, b}
	case 3:
		bad := r.bad(n)
		r.poison = append(r.poison, fmt.Sprintf("poison-%d.", n))
		return bad, nil, false
	case 4: // one is bad, and the other is not
		r.poison = append(r.poison, fmt.Sprintf("poison-%d.", n))
		return "[" + one(a) + fmt.Sprintf(`,{"aggregateId":"poison-%d.","eventType":7}]`, n), []string{a}, false
	default:
		body, ids = one(a), []string{a}
	}
	if strings.HasPrefix(stream, "q-") {
		r.sent = append(r.sent, body)
	}
	return body, ids, true
}

// bad is a text that can never be stored.
func (r *run) bad(n int) string {
	return fmt.Sprintf([]string{
		"no JSON: poison-%d.", `{"aggregateId":"poison-%d."}`, `{"poison-%d.":1}`, "\x01poison-%d.", `{"specversion":"1.0","id":"poison-%d.","source":"s","type":"T"}`,
	}[r.random.IntN(5)], n)
}

// function is one invocation by a source, of an instance that may end at any step.
func (r *run) function(role lambda.Role) delivery.Invoke {
	invoke := func(payload []byte) ([]byte, error) {
		i := &instance{vague: func() int { return 0 }}
		switch {
		case r.only != nil:
			i, r.only = r.only, nil
		case !r.calm:
			if r.random.IntN(3) == 0 {
				i.at, i.after = 1+r.random.IntN(12), r.random.IntN(2) == 0
			}
			if role == lambda.Track || role == lambda.Pump {
				i.vague = vagueOutcomes(rand.New(rand.NewPCG(r.random.Uint64(), 1)), 12)
			}
		}
		answer, steps, err := r.invoke(role, r.handle, i, payload)
		r.steps += steps
		if errors.Is(err, errKilled) {
			r.kills++
		}
		return answer, err
	}
	if r.wrap != nil {
		return r.wrap(role, invoke)
	}
	return invoke
}

// work sends messages and delivers them until all are settled.
func (r *run) work(messages int) error {
	sent, turns := 0, 0
	for sent < messages || r.queue.Waiting() > 0 || r.stream.Waiting() || len(r.queue.Aside) > 0 {
		if turns++; turns > 200*(messages+10) {
			return fmt.Errorf("it does not end: %d wait in the queue, %d are set aside, the stream has more: %v", r.queue.Waiting(), len(r.queue.Aside), r.stream.Waiting())
		}
		var err error
		switch pick := r.random.IntN(12); {
		case pick < 4 && sent < messages:
			for range min(1+r.random.IntN(6), messages-sent) {
				r.send(sent)
				sent++
			}
		case pick < 6 && r.queue.Waiting() > 0:
			err = r.queue.Deliver(6, r.function(lambda.Track))
		case pick < 8:
			err = r.stream.Deliver(6, r.function(lambda.Pump))
		case pick == 8 && sent < messages && r.random.IntN(2) == 0:
			r.stream.Reshard()
			r.shards++
		case pick == 9:
			r.wake(lambda.Write)
		case pick == 10:
			r.wake(lambda.React)
		case pick == 11:
			r.retry()
		}
		if err != nil {
			return err
		}
	}
	r.calm = true
	if err := r.numbered(); err != nil {
		return err
	}
	for _, role := range []lambda.Role{lambda.Write, lambda.React} {
		_, err := r.function(role)([]byte("{}"))
		if errors.Is(err, errKilled) { // at a step that a test has chosen
			_, err = r.function(role)([]byte("{}"))
		}
		if err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
	}
	return r.numbered()
}

// numbered waits until the log holds what the streams do, where a store numbers it later.
func (r *run) numbered() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store := annals.New(r.driver, nil)
	for stream := range r.want {
		for _, name := range []string{stream, "done-" + stream} {
			last := annals.Commit{Stream: name}
			for e, err := range store.Stream(ctx, name, &annals.StreamOptions{Backward: true, Limit: 1}) {
				if err != nil {
					return err
				}
				last.Version, last.Position = e.Version, e.Position
			}
			if last.Version > 0 && last.Position == 0 {
				if _, err := store.Wait(ctx, last); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wake lets a role catch up, whose instance may end.
func (r *run) wake(role lambda.Role) { _, _ = r.function(role)([]byte("{}")) }

// retry sends what was set aside again, as package deadletter does.
func (r *run) retry() {
	r.aside += len(r.queue.Aside)
	for _, m := range r.queue.Aside {
		for body := range (ingest.Delivery{ID: m.ID, Body: []byte(m.Body)}).WithIDs(64 << 10) {
			r.queue.Send(string(body))
		}
	}
	r.queue.Aside = nil
}

// wrongs are what did not come out as it must.
func (r *run) wrongs(ctx context.Context) (all []string) {
	wrong := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	store := annals.New(r.driver, nil)
	set, err := projection.Open(ctx, store, r.views, projections, nil)
	if err != nil {
		return []string{err.Error()}
	}
	got := map[string][]string{}
	for e, err := range store.Log(ctx, annals.Query{}) {
		switch {
		case err != nil:
			wrong("reading the log: %v", err)
		case e.Type == arrived:
			got[e.Stream] = append(got[e.Stream], e.ID)
		case e.Type == "D":
			got[e.Stream] = append(got[e.Stream], strings.Trim(string(e.Data), `"`))
		default:
			wrong("%s@%d is of type %s", e.Stream, e.Version, e.Type)
		}
	}
	for stream, want := range r.want {
		have := got[stream]
		if strings.HasPrefix(stream, "q-") {
			want, have = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(have))
		}
		if !slices.Equal(have, want) {
			wrong("stream %s holds %q, want %q", stream, have, want)
		}
		if done := got["done-"+stream]; !slices.Equal(done, got[stream]) {
			wrong("the reaction to %s was %q, want %q", stream, done, got[stream])
		}
		var doc counted
		d, _, err := set.Get(ctx, "counted", stream, nil)
		if err == nil {
			err = json.Unmarshal(d.Data, &doc)
		}
		if err != nil || !slices.Equal(doc.IDs, got[stream]) {
			wrong("the view of %s is %q, %v; want %q", stream, doc.IDs, err, got[stream])
		}
		delete(got, stream)
		delete(got, "done-"+stream)
	}
	for stream, ids := range got {
		wrong("stream %s was never sent and holds %q", stream, ids)
	}
	return append(all, r.wrongLetters()...)
}

// wrongLetters are those that are missing, have no reason, or are of good messages.
func (r *run) wrongLetters() (all []string) {
	for _, of := range r.poison {
		if !slices.ContainsFunc(r.letters, func(l letter) bool { return strings.Contains(l.body, of) }) {
			all = append(all, fmt.Sprintf("%s is no dead letter", of))
		}
	}
	for _, l := range r.letters {
		if !slices.ContainsFunc(r.poison, func(of string) bool { return strings.Contains(l.body, of) }) || l.reason == "" {
			all = append(all, fmt.Sprintf("there is a dead letter %q for the reason %q", l.body, l.reason))
		}
	}
	return all
}

// add counts what happened in another run.
func (r *run) add(other *run) {
	r.kills += other.kills
	r.steps += other.steps
	r.aside += other.aside
	r.shards += other.shards
	r.lettersSent += len(other.letters)
}

func (r *run) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(r.views.Close(), r.driver.Close()); err != nil {
		t.Error(err)
	}
}
