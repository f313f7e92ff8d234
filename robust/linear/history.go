package linear

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/eb901187/annals"
)

// What one history may hold for porcupine to decide it.
const (
	MaxOperations = 4000
	MaxClients    = 20
)

// A Print stands for an event: a hash of its id and all that its author said, but
// for its time.
type Print uint64

// PrintOf is the Print of e.
func PrintOf(e *annals.Event) Print {
	var b []byte
	add := func(texts ...string) {
		for _, s := range texts {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	add(e.ID, e.Type, e.Source, e.Correlation, e.Causation, e.ContentType)
	b = binary.AppendUvarint(b, uint64(len(e.Attributes)))
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		add(name, e.Attributes[name])
	}
	return Print(xxhash.Sum64(append(b, e.Data...)))
}

// chained is the hash of a stream whose hash was h and that then got p.
func chained(h uint64, p Print) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], h)
	binary.LittleEndian.PutUint64(b[8:], uint64(p))
	return xxhash.Sum64(b[:])
}

// An Outcome is how an operation ended for its caller.
type Outcome string

// The outcomes.
const (
	// Done is that of a read, and of an append that was acknowledged.
	Done Outcome = "done"
	// Conflict says that an append was refused for the stream's version.
	Conflict Outcome = "conflict"
	// Unknown says that an append may have been stored.
	Unknown Outcome = "unknown"
	// Refused says that an append was not stored, and that a read told nothing.
	Refused Outcome = "refused"
	// Broken says that no stream could ever give this answer, such as versions with
	// a gap, or annals.ErrDamaged. No history with it is linearizable.
	Broken Outcome = "broken"
)

// An Operation is one append or read as its caller saw it. Call and Return order
// operations; they are no times.
type Operation struct {
	Client       int
	Call, Return int64 // Return is math.MaxInt64 while the outcome is open
	Outcome      Outcome
	Why          string // the error, if there was one

	// Of an append.
	Append   bool
	Batch    int64 // what is appended: the same number, the same events
	Expected int64 // as for annals.Store.Append
	Prints   []Print
	Replayed bool // the answer says that the batch was there already

	// Version is that of an acknowledged append's last event, the actual one of a
	// conflict, and the last one that a read has seen (First-1 for none).
	Version int64

	// Of a read, which saw the versions from First to Version.
	First int64
	ToEnd bool   // nothing was behind Version
	Hash  uint64 // in place of Prints where First is 1: the chained hash
}

// A History is what clients did to one stream. It ends in a read of the whole stream
// that began when all else had returned or stays open.
type History struct {
	Stream     string
	Operations []Operation
	// Last is the stream as the last read saw it, by version from 1.
	Last []Print
}

// Order gives the moments of calls and returns. It is safe for concurrent use.
type Order struct{ last atomic.Int64 }

// Next is later than all before.
func (o *Order) Next() int64 { return o.last.Add(1) }

// settled are the operations that decide whether h is linearizable. Left out are those
// that say nothing: refused ones, and open appends that the last read does not show,
// or that an acknowledgement says somebody else's try has stored. The rest of the
// open ones get the version that the last read shows.
func (h *History) settled() []Operation {
	landed := map[Print]int64{}
	for i, p := range h.Last {
		landed[p] = int64(i) + 1
	}
	stored := map[int64]bool{} // batches that an acknowledgement names as its own doing
	for i := range h.Operations {
		op := &h.Operations[i]
		if op.Append && op.Outcome == Done && !op.Replayed {
			stored[op.Batch] = true
		}
	}
	var settled []Operation
	for _, op := range h.Operations {
		switch op.Outcome {
		case Refused:
			continue
		case Unknown:
			op.Return = math.MaxInt64
			op.Version = landed[op.Prints[len(op.Prints)-1]]
			if op.Version == 0 || stored[op.Batch] {
				continue
			}
		}
		settled = append(settled, op)
	}
	return settled
}
