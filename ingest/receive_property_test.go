package ingest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// A sent message of the property: what is to become of it is known when it is made.
type sent struct {
	stream, id string
	text       string
	good       bool
}

func drawMessages(t *rapid.T) (all []sent, want map[string][]string) {
	first := map[string]string{} // the text that has an id of a stream
	want = map[string][]string{}
	for i := range rapid.IntRange(1, 60).Draw(t, "messages") {
		m := sent{stream: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "stream"), good: true}
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			m.good, m.text = false, rapid.SampledFrom([]string{"{", "\x00", "[1]", `{"aggregateId":"a"}`, `{"aggregateId":"b","eventType":"T","eventData":"` + "\xff" + `"}`, `{"aggregateId":"c","eventType":" "}`}).Draw(t, "bad")
		case 1:
			m.text = fmt.Sprintf(`{"aggregateId":%q,"eventType":"T","eventData":%d}`, m.stream, i) // without an id
			m.id = fmt.Sprintf("d%d#1", i)
			want[m.stream] = append(want[m.stream], m.id)
		default:
			m.id = fmt.Sprint("id", rapid.IntRange(0, 12).Draw(t, "id"))
			m.text = string(message(m.stream, m.id, fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "content")/4)))
			key := m.stream + " " + m.id
			if was, taken := first[key]; taken {
				m.good = was == m.text
			} else {
				first[key] = m.text
				want[m.stream] = append(want[m.stream], m.id)
			}
		}
		all = append(all, m)
	}
	return all, want
}

// Batches of any size, delivered again from the first failure on or only what
// failed, over a store that fails in every way: each message is stored once, the
// order of streams holds, and exactly the bad ones are refused.
func TestReceiveUntilAllIsSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		faulty := &storetest.Faulty{Driver: memory(t)}
		store := annals.New(faulty, &annals.Options{Attempts: 2, Pause: func(context.Context, int) {}})
		defer func() { _ = store.Close() }()
		r := &Receiver{Store: store, Workers: rapid.IntRange(1, 4).Draw(t, "workers")}
		all, want := drawMessages(t)
		fromFirst := rapid.Bool().Draw(t, "from the first failure on")
		if fromFirst {
			r.PerStream = rapid.IntRange(0, 5).Draw(t, "per stream")
		}
		refused := make([]bool, len(all))
		waiting := make([]int, len(all))
		for i := range waiting {
			waiting[i] = i
		}
		for round := 0; len(waiting) > 0; round++ {
			if round < 20 {
				faulty.FailAppends(drawFaults(t, "append faults")...)
				faulty.FailReads(drawFaults(t, "read faults")...)
			} else {
				faulty.FailAppends()
				faulty.FailReads()
			}
			n := rapid.IntRange(1, len(waiting)).Draw(t, "batch")
			batch := make([]Delivery, n)
			for k, i := range waiting[:n] {
				batch[k] = Delivery{fmt.Sprint("d", i), []byte(all[i].text)}
			}
			var again []int
			for k, o := range r.Receive(context.Background(), batch) {
				i := waiting[k]
				refused[i] = o.Messages[0].Status == Refused
				if o.Failed() != nil || fromFirst && len(again) > 0 {
					again = append(again, i)
				}
			}
			waiting = append(again, waiting[n:]...)
		}
		faulty.FailAppends()
		faulty.FailReads()
		for i, m := range all {
			if refused[i] == m.good {
				t.Fatalf("message %d, %s: refused %v", i, m.text, refused[i])
			}
		}
		for _, stream := range []string{"a", "b", "c"} {
			if got := streamIDs(t, store, stream); !slices.Equal(got, want[stream]) {
				t.Fatalf("stream %s holds %v, want %v", stream, got, want[stream])
			}
		}
	})
}

// Two programs work on the same deliveries at once, as the old and the new version of
// one do for a while, each in batches of its own.
func TestReceiveByTwoAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := annals.New(memory(t), nil)
		defer func() { _ = store.Close() }()
		all, want := drawMessages(t)
		deliveries := make([]Delivery, len(all))
		for i := range all {
			deliveries[i] = Delivery{fmt.Sprint("d", i), []byte(all[i].text)}
		}
		failed := make([]error, 2)
		var both sync.WaitGroup
		for i := range failed {
			cuts := rapid.SliceOfN(rapid.IntRange(1, len(all)), len(all), len(all)).Draw(t, "batches")
			both.Go(func() {
				r := &Receiver{Store: store}
				for at := 0; at < len(deliveries); cuts = cuts[1:] {
					batch := deliveries[at:min(len(deliveries), at+cuts[0])]
					for _, o := range r.Receive(context.Background(), batch) {
						failed[i] = cmp.Or(failed[i], o.Failed())
					}
					at += len(batch)
				}
			})
		}
		both.Wait()
		for _, stream := range []string{"a", "b", "c"} {
			if got := streamIDs(t, store, stream); !slices.Equal(got, want[stream]) || failed[0] != nil || failed[1] != nil {
				t.Fatalf("stream %s holds %v, want %v; %v", stream, got, want[stream], failed)
			}
		}
	})
}

func drawFaults(t *rapid.T, label string) []storetest.Fault {
	return rapid.SliceOfN(rapid.SampledFrom([]storetest.Fault{storetest.None, storetest.None, storetest.LostReply, storetest.LostRequest, storetest.Refused}), 0, 4).Draw(t, label)
}
