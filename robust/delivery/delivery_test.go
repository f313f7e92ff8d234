package delivery_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/lambda"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/robust/delivery"
)

var (
	seeds = flag.Uint64("seeds", 100, "how many seeds to run")
	first = flag.Uint64("first", 1, "the first of them")
)

const (
	messages = 24 // of a seed
	atOnce   = 8  // seeds; what they wait for takes no processor
)

// tested runs a seed on a store in memory and returns what is wrong.
func tested(t *testing.T, seed uint64, messages int, prepare func(*run)) (*run, []string) {
	t.Helper()
	driver, err := inMemory()
	if err != nil {
		t.Error(err)
		return nil, []string{err.Error()}
	}
	return testedOn(t, driver, seed, messages, prepare)
}

// testedOn runs a seed on a store, which it closes.
func testedOn(t *testing.T, driver annals.Driver, seed uint64, messages int, prepare func(*run)) (r *run, wrongs []string) {
	t.Helper()
	r = newRun(seed, driver)
	if prepare != nil {
		prepare(r)
	}
	if err := r.work(messages); err != nil {
		wrongs = append(wrongs, err.Error())
	}
	wrongs = append(wrongs, r.wrongs(t.Context())...)
	r.close(t)
	return r, wrongs
}

// Whatever the sources do and wherever instances end: nothing is lost, applied twice, or
// out of order.
func TestSeeds(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var working sync.WaitGroup
	var mu sync.Mutex
	var total run
	next := make(chan uint64)
	for range atOnce {
		working.Go(func() {
			for seed := range next {
				r, wrongs := tested(t, seed, messages, nil)
				if len(wrongs) > 0 {
					t.Errorf("-first %d -seeds 1: %s", seed, strings.Join(wrongs, "\n"))
					continue
				}
				mu.Lock()
				total.add(r)
				mu.Unlock()
			}
		})
	}
	for seed := *first; seed < *first+*seeds && !t.Failed(); seed++ {
		next <- seed
	}
	close(next)
	working.Wait()
	t.Logf("%d seeds from %d in %v: %d messages, %d steps, %d instances ended at one of them, %d resharded, %d messages set aside, %d dead letters",
		*seeds, *first, time.Since(began).Round(time.Millisecond), messages**seeds, total.steps, total.kills, total.shards, total.aside, total.lettersSent)
	if *seeds >= 100 && !t.Failed() && min(total.kills, total.shards, total.aside, total.lettersSent) == 0 {
		t.Error("something of it has never happened")
	}
}

// Each step of each role is the last one of an instance once, with its effect and without.
func TestEndAtEveryStep(t *testing.T) {
	t.Parallel()
	ends := 0
	for _, role := range []lambda.Role{lambda.Track, lambda.Pump, lambda.Write, lambda.React} {
		for _, after := range []bool{false, true} {
			for at, reached := 1, true; reached; at++ {
				const seed = 7
				planted := &instance{at: at, after: after, vague: func() int { return 0 }}
				_, wrongs := tested(t, seed, 12, func(r *run) {
					r.calm = true
					pending := planted
					r.wrap = func(of lambda.Role, next delivery.Invoke) delivery.Invoke {
						if of == role && pending != nil && len(r.want) > 4 {
							r.only, pending = pending, nil
						}
						return next
					}
				})
				if reached = planted.ended; reached {
					ends++
				}
				if len(wrongs) > 0 {
					t.Fatalf("role %s ends at step %d, with its effect: %v: %s", role, at, after, strings.Join(wrongs, "\n"))
				}
			}
		}
	}
	if ends < 40 {
		t.Errorf("only %d steps were reached", ends)
	}
	t.Logf("%d steps", ends)
}

// changed hands a role other records than there are.
func changed(of lambda.Role, change func(records []map[string]any)) func(lambda.Role, delivery.Invoke) delivery.Invoke {
	return func(role lambda.Role, next delivery.Invoke) delivery.Invoke {
		return func(payload []byte) ([]byte, error) {
			var batch struct{ Records []map[string]any }
			if role != of || json.Unmarshal(payload, &batch) != nil {
				return next(payload)
			}
			change(batch.Records)
			text, err := json.Marshal(batch)
			if err != nil {
				return nil, err
			}
			return next(text)
		}
	}
}

// answered gives a role other answers than it has given.
func answered(of lambda.Role, change func(answer []byte, err error) ([]byte, error)) func(lambda.Role, delivery.Invoke) delivery.Invoke {
	return func(role lambda.Role, next delivery.Invoke) delivery.Invoke {
		if role != of {
			return next
		}
		return func(payload []byte) ([]byte, error) { return change(next(payload)) }
	}
}

func swallow([]byte, error) ([]byte, error) { return []byte(`{"batchItemFailures":[]}`), nil }

// The checks find what they are there for: each bug is found within a few seeds.
func TestPlantedBugsAreFound(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	for name, bug := range map[string]struct {
		plant func(r *run)
		want  string
	}{
		"track says that what failed is done": {func(r *run) { r.wrap = answered(lambda.Track, swallow) }, "stream q-"},
		"pump says that what failed is done":  {func(r *run) { r.wrap = answered(lambda.Pump, swallow) }, "stream k-"},
		"messages without ids get one by chance": {func(r *run) {
			r.wrap = changed(lambda.Track, func(all []map[string]any) { renamed(&n, all, "messageId") })
		}, "stream q-"},
		"records are named by chance": {func(r *run) {
			r.wrap = changed(lambda.Pump, func(all []map[string]any) { renamed(&n, all, "eventID") })
		}, "stream k-"},
		"pump stores the records of a batch as they please": {func(r *run) { r.wrap = changed(lambda.Pump, reversed) }, "stream k-"},
		"dead letters are lost":                             {func(r *run) { r.wrap = forgetting(r) }, "is no dead letter"},
		"the reaction appends beside its turn":              {func(r *run) { r.handle = beside(r) }, "the reaction to"},
		"a view and its checkpoint are two commits":         {func(r *run) { r.torn = true }, "the view of"},
	} {
		found := false
		for seed := uint64(1); seed <= 30 && !found; seed++ {
			_, wrongs := tested(t, seed, messages, bug.plant)
			found = strings.Contains(strings.Join(wrongs, "\n"), bug.want)
		}
		if !found {
			t.Errorf("not found: %s", name)
		}
	}
}

func renamed(n *atomic.Int64, records []map[string]any, name string) {
	for _, r := range records {
		r[name] = fmt.Sprintf("%v-%d", r[name], n.Add(1))
	}
}

// reversed exchanges what the records hold.
func reversed(records []map[string]any) {
	for i, j := 0, len(records)-1; i < j; i, j = i+1, j-1 {
		a, b := records[i]["kinesis"].(map[string]any), records[j]["kinesis"].(map[string]any)
		a["data"], b["data"] = b["data"], a["data"]
	}
}

// forgetting loses letters of pump that came while others of its batch failed.
func forgetting(r *run) func(lambda.Role, delivery.Invoke) delivery.Invoke {
	return func(role lambda.Role, next delivery.Invoke) delivery.Invoke {
		return func(payload []byte) ([]byte, error) {
			before := len(r.letters)
			answer, err := next(payload)
			if role == lambda.Pump && err == nil {
				r.letters = r.letters[:before]
			}
			return answer, err
		}
	}
}

// beside is a handler that appends by itself, so that nothing tells it what it did.
func beside(r *run) reaction.Handler {
	return func(ctx context.Context, t *reaction.Turn) error {
		_, err := annals.New(storeOf{&instance{place: r.place, vague: func() int { return 0 }}}, nil).Append(ctx, "done-"+t.Stream, annals.Any, annals.Event{Type: "D", Data: []byte(`"` + t.ID + `"`)})
		return err
	}
}
