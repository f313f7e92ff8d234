package linear

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/eb901187/annals"
)

// history makes a sequential history; open operations are given with Return 0.
func history(operations ...Operation) []Operation {
	for i := range operations {
		operations[i].Call, operations[i].Return = int64(2*i), int64(2*i+1)
		if operations[i].Outcome == Unknown {
			operations[i].Return = math.MaxInt64
		}
	}
	return operations
}

func appended(batch, expected, version int64, outcome Outcome) Operation {
	return Operation{Append: true, Batch: batch, Expected: expected, Version: version, Outcome: outcome, Prints: []Print{Print(batch)}}
}

func replayed(batch, expected, version int64) Operation {
	op := appended(batch, expected, version, Done)
	op.Replayed = true
	return op
}

// read saw versions from first on, of batches of one event each.
func read(first int64, toEnd bool, batches ...int64) Operation {
	op := Operation{First: first, Version: first - 1 + int64(len(batches)), ToEnd: toEnd, Outcome: Done}
	for _, b := range batches {
		op.Hash = chained(op.Hash, Print(b))
		op.Prints = append(op.Prints, Print(b))
	}
	return op
}

func TestWhatAStreamMayAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		history []Operation
		want    porcupine.CheckResult
	}{
		"appends in order": {history(appended(1, 0, 1, Done), appended(2, 1, 2, Done), read(1, true, 1, 2)), porcupine.Ok},
		"a lost append":    {history(appended(1, 0, 1, Done), appended(2, 1, 2, Done), read(1, true, 1)), porcupine.Illegal},
		"a stale read":     {history(appended(1, 0, 1, Done), read(1, true)), porcupine.Illegal},
		"a stale tail":     {history(appended(1, 0, 1, Done), appended(2, 1, 2, Done), read(2, true)), porcupine.Illegal},
		"a part":           {history(appended(1, 0, 1, Done), appended(2, 1, 2, Done), read(1, false, 1)), porcupine.Ok},
		"nothing behind":   {history(appended(1, 0, 1, Done), read(5, true)), porcupine.Ok},
		"changed events":   {history(appended(1, 0, 1, Done), appended(2, 1, 2, Done), read(1, false, 2)), porcupine.Illegal},
		"reordered":        {history(appended(1, 0, 1, Done), appended(2, 1, 2, Done), read(1, true, 2, 1)), porcupine.Illegal},
		"two winners":      {history(appended(1, 0, 1, Done), appended(2, 0, 1, Done)), porcupine.Illegal},
		"any version":      {history(appended(1, annals.Any, 1, Done), appended(2, annals.Any, 2, Done)), porcupine.Ok},
		"a gap":            {history(appended(1, annals.Any, 1, Done), appended(2, annals.Any, 3, Done)), porcupine.Illegal},
		"a conflict":       {history(appended(1, 0, 1, Done), appended(2, 0, 1, Conflict)), porcupine.Ok},
		"no such conflict": {history(appended(1, 0, 1, Done), appended(2, 1, 1, Conflict)), porcupine.Illegal},
		"a stale conflict": {history(appended(1, 0, 1, Done), appended(2, 1, 2, Done), appended(3, 0, 1, Conflict)), porcupine.Illegal},
		"a repetition":     {history(appended(1, 0, 1, Done), appended(2, 1, 2, Done), replayed(1, 0, 1)), porcupine.Ok},
		"twice":            {history(appended(1, 0, 1, Done), appended(1, annals.Any, 2, Done)), porcupine.Illegal},
		"elsewhere":        {history(appended(1, 0, 1, Done), replayed(1, 0, 2)), porcupine.Illegal},
		"conflict with itself": {
			history(appended(1, 0, 0, Unknown), appended(1, 0, 1, Conflict), read(1, true, 1)), porcupine.Illegal,
		},
		"unknown and stored":   {history(appended(1, 0, 0, Unknown), read(1, true, 1)), porcupine.Ok},
		"unknown and not":      {history(appended(1, 0, 0, Unknown), read(1, true)), porcupine.Ok},
		"unknown, then stored": {history(appended(1, 0, 0, Unknown), read(1, true), read(1, true, 1)), porcupine.Ok},
		"unknown, then gone":   {history(appended(1, 0, 0, Unknown), read(1, true, 1), read(1, true)), porcupine.Illegal},
		"unknown and twice": {
			history(appended(1, annals.Any, 0, Unknown), appended(1, annals.Any, 0, Unknown), read(1, true, 1, 1)), porcupine.Illegal,
		},
		"unknown, then found":       {history(appended(1, 0, 0, Unknown), replayed(1, 0, 1), read(1, true, 1)), porcupine.Ok},
		"refused and stored":        {history(Operation{Append: true, Outcome: Refused, Batch: 1, Prints: []Print{1}}, read(1, true, 1)), porcupine.Illegal},
		"versions with a gap":       {history(Operation{Outcome: Broken, First: 1, ToEnd: true}), porcupine.Illegal},
		"unknown at a past version": {history(appended(1, 0, 1, Done), appended(2, 0, 0, Unknown), read(1, true, 1, 2)), porcupine.Illegal},
	} {
		h := &History{Stream: name, Operations: test.history}
		for _, op := range h.Operations {
			if !op.Append && op.First == 1 && op.ToEnd {
				h.Last = op.Prints
			}
		}
		if got := decide(calls(h.settled(), false), time.Minute); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		var told []Operation
		for _, op := range h.Operations {
			if op.Outcome != Refused {
				told = append(told, op)
			}
		}
		if got := decide(calls(told, true), time.Minute); got != test.want {
			t.Errorf("%s, not told what became of unknown appends: %s, want %s", name, got, test.want)
		}
	}
}

// A tiny stream in memory, whose answers are lost and mixed up by a seed.
type toy struct {
	random *rand.Rand
	order  int64
	stored []Print
	open   []Operation // unknown and not yet applied
	ops    []Operation
}

func (y *toy) apply(op *Operation) bool {
	fits := op.Expected == annals.Any || op.Expected == int64(len(y.stored))
	if fits {
		y.stored = append(y.stored, op.Prints...)
	}
	return fits
}

func (y *toy) next() {
	if i := len(y.open); i > 0 && y.random.IntN(3) == 0 {
		y.apply(&y.open[i-1]) // late
		y.open = y.open[:i-1]
	}
	y.order += 2
	version := int64(len(y.stored))
	if y.random.IntN(3) == 0 {
		op := read(1, true)
		for _, p := range y.stored {
			op.Hash, op.Version = chained(op.Hash, p), op.Version+1
		}
		if y.random.IntN(40) == 0 {
			op.Hash++ // a bug
		}
		op.Call, op.Return = y.order, y.order+1
		y.ops = append(y.ops, op)
		return
	}
	op := appended(int64(len(y.ops)+1), version-int64(y.random.IntN(2)), 0, Done)
	op.Call, op.Return = y.order-int64(y.random.IntN(5)), y.order+1
	switch stored := false; {
	case y.random.IntN(3) == 0:
		op.Outcome, op.Return = Unknown, math.MaxInt64
		if y.random.IntN(2) == 0 {
			y.open = append(y.open, op)
		} else {
			y.apply(&op)
		}
	default:
		stored = y.apply(&op)
		if op.Version = version + 1; !stored {
			op.Outcome, op.Version = Conflict, version
		}
		if y.random.IntN(60) == 0 {
			op.Version++ // a bug
		}
	}
	y.ops = append(y.ops, op)
}

func TestWhatTheLastReadTellsChangesNoVerdict(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	count := map[porcupine.CheckResult]int{}
	for i := range uint64(1500) {
		y := &toy{random: rand.New(rand.NewPCG(seed, i))}
		for range 12 {
			y.next()
		}
		h := &History{Operations: y.ops, Last: y.stored}
		last := read(1, true)
		for _, p := range y.stored {
			last.Hash, last.Version = chained(last.Hash, p), last.Version+1
		}
		last.Call, last.Return = y.order+3, y.order+4
		h.Operations = append(h.Operations, last)
		told, not := decide(calls(h.settled(), false), time.Minute), decide(calls(h.Operations, true), time.Minute)
		if count[told]++; told != not {
			t.Fatalf("history %d of seed %d: %s, and without what the last read tells %s\n%+v", i, seed, told, not, h.Operations)
		}
	}
	if count[porcupine.Ok] < 100 || count[porcupine.Illegal] < 100 {
		t.Errorf("only %v", count)
	}
	t.Logf("%v", count)
}
