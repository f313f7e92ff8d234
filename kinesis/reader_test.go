package kinesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/eb901187/annals"
)

func (w *world) putRaw(stream, key, data string) {
	w.t.Helper()
	if _, err := w.plain.PutRecord(w.t.Context(), &sdk.PutRecordInput{StreamName: &stream, PartitionKey: &key, Data: []byte(data)}); err != nil {
		w.t.Fatal(err)
	}
}

const command = `{"aggregateId":"a","eventType":"t","id":"`

// ids reads until the sequence ends, or cancels it once it has as many as wanted.
func ids(t *testing.T, r *Reader, wanted int) (all []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for record, err := range r.Records(ctx) {
		if err != nil {
			t.Fatal(err, all)
		}
		if record.Err != nil {
			all = append(all, "!")
		}
		for _, e := range record.Events {
			all = append(all, e.ID)
		}
		if wanted > 0 && len(all) >= wanted {
			break
		}
	}
	return all
}

// What others put is read too, and what can't be read holds up nothing.
func TestForeignRecords(t *testing.T) {
	w := newWorld(t, "s", 1)
	for _, data := range []string{command + `1"}`, `[` + command + `2"},` + command + `3"}]`, `{"oops"`, ``, command + "4\"}\n" + command + `5"}`} {
		if data != "" {
			w.putRaw("s", "k", data)
		}
	}
	if got := strings.Join(ids(t, w.reader("s"), 0), " "); got != "1 2 3 ! 4 5" {
		t.Errorf("read %s", got)
	}
	var broken *RecordError
	var seen []string
	for e, err := range w.reader("s").Playback(t.Context(), "") {
		if err != nil {
			if !errors.As(err, &broken) {
				t.Fatal(err)
			}
			continue
		}
		seen = append(seen, e.Stream+e.ID)
	}
	if broken == nil || broken.Stream != "s" || broken.Sequence == "" || strings.Join(seen, " ") != "a1 a2 a3 a4 a5" {
		t.Errorf("read %v, error %v", seen, broken)
	}
	for range w.reader("s").Playback(t.Context(), "p") {
		// The record that can't be read may belong to any playback; the rest does not.
		if seen = append(seen, "one"); len(seen) > 6 {
			t.Fatal("more than one")
		}
	}
}

// Expired iterators and failed reads repeat nothing, and leave nothing out.
func TestRecordsComeOnce(t *testing.T) {
	rnd := newRand(t)
	w := newWorld(t, "s", 2)
	var want []string
	for i := range 60 {
		id := fmt.Sprint(i)
		w.putRaw("s", "k", command+id+`"}`)
		if want = append(want, id); i == 30 {
			w.reshard("s", rnd)
		}
	}
	w.random(rnd)
	if got := ids(t, w.reader("s"), 0); !slices.Equal(got, want) {
		t.Errorf("read %v", got)
	}
}

func TestLatest(t *testing.T) {
	for _, reshard := range []bool{false, true} {
		w := newWorld(t, "s", 1)
		if reshard {
			w.reshard("s", newRand(t)) // leaves a closed shard
		}
		w.putRaw("s", "k", command+`old"}`)
		// With each pause, whatever may happen while nobody reads.
		steps := []func(){
			func() { w.putRaw("s", "k", command+`1"}`) },
			func() { w.reshard("s", newRand(t)) },
			func() { w.putRaw("s", "k", command+`2"}`) },
			func() {
				if !reshard { // the stand-in never answers where a shard has nothing since
					w.faults.get = expireOnce(w)
				}
			},
			func() { w.putRaw("s", "k", command+`3"}`) },
		}
		r := NewReader(w.client, "s", &ReaderOptions{Latest: true, Follow: true, Sleep: func(context.Context, time.Duration) {
			if len(steps) > 0 {
				steps[0]()
				steps = steps[1:]
			}
		}})
		if got := strings.Join(ids(t, r, 3), " "); got != "1 2 3" {
			t.Errorf("read %s", got)
		}
	}
}

func expireOnce(w *world) func() (bool, error) {
	return func() (bool, error) {
		w.faults.get = nil
		return false, answered(400, &types.ExpiredIteratorException{})
	}
}

// An iterator of the latest records that expires before it gave one leaves no hole.
func TestLatestExpiredLosesNothing(t *testing.T) {
	w := newWorld(t, "s", 1)
	w.faults.get = func() (bool, error) {
		w.putRaw("s", "k", command+`1"}`)
		w.faults.get = nil
		return false, answered(400, &types.ExpiredIteratorException{})
	}
	r := NewReader(w.client, "s", &ReaderOptions{Latest: true, Sleep: noSleep})
	if got := ids(t, r, 0); !slices.Equal(got, []string{"1"}) {
		t.Errorf("read %v", got)
	}
}

func TestSince(t *testing.T) {
	w := newWorld(t, "s", 1)
	for _, id := range []string{"1", "2", "3"} {
		w.putRaw("s", "k", command+id+`"}`)
	}
	var arrived []time.Time
	for record, err := range w.reader("s").Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		arrived = append(arrived, record.Arrived)
	}
	for _, since := range arrived {
		r := NewReader(w.client, "s", &ReaderOptions{Since: since, Sleep: noSleep})
		// Some may have arrived within the same millisecond.
		want := []string{"1", "2", "3"}[slices.IndexFunc(arrived, since.Equal):]
		if got := ids(t, r, 0); !slices.Equal(got, want) {
			t.Errorf("since %v: %v, want %v", since, got, want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	w := newWorld(t, "s", 1)
	failing := func(r *Reader) (err error) {
		for _, err = range r.Records(t.Context()) {
			if err != nil {
				break
			}
		}
		return err
	}
	if err := failing(w.reader("other")); !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "other") {
		t.Errorf("no such stream: %v", err)
	}
	for code, err := range map[annals.Code]error{
		annals.CodeForbidden:   answered(400, &types.AccessDeniedException{Message: aws.String("no")}),
		annals.CodeUnavailable: errLost,
	} {
		w.faults.get = func() (bool, error) { return false, err }
		if err := failing(w.reader("s")); annals.CodeOf(err) != code || errors.Is(err, annals.ErrUnavailable) || !strings.Contains(err.Error(), "stream s") {
			t.Errorf("%v of code %s, want %s", err, annals.CodeOf(err), code)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range w.reader("s").Records(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	}
}
