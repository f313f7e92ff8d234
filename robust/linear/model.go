package linear

import (
	"fmt"

	"github.com/anishathalye/porcupine"

	"github.com/eb901187/annals"
)

// replayWindow is over how many of its last events a stream promises to know an
// append with annals.Any again.
const replayWindow = 1000

// A state is a stream: its last event, and those before it. The empty stream has
// version 0. States share what is before them and never change.
type state struct {
	before  *state
	version int64
	hash    uint64
	print   Print
	batch   int64
}

var empty = &state{batch: -1}

func (s *state) append(op *Operation) *state {
	for _, p := range op.Prints {
		s = &state{s, s.version + 1, chained(s.hash, p), p, op.Batch}
	}
	return s
}

// find returns the version of a batch's last event, 0 if it is not in the stream.
func (s *state) find(batch int64) int64 {
	for ; s.version > 0; s = s.before {
		if s.batch == batch {
			return s.version
		}
	}
	return 0
}

// A call is an Operation as the model takes it.
type call struct {
	*Operation
	repeated bool // its batch was sent more than once
	open     bool // nothing is known of an unknown outcome
}

// model is a stream under calls. Where a whole history is legal, each state allows
// at most one of the appends that have a version, and reads and conflicts change
// nothing, so that the first order tried is nearly always the right one.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return empty },
		Step: func(s, in, _ any) (bool, any) {
			next := in.(call).step(s.(*state))
			return next != nil, next
		},
		Equal: func(a, b any) bool {
			x, y := a.(*state), b.(*state)
			return x.version == y.version && x.hash == y.hash
		},
		Hash:              func(s any) uint64 { return s.(*state).hash },
		DescribeOperation: func(in, _ any) string { return in.(call).String() },
		DescribeState: func(s any) string {
			return fmt.Sprintf("version %d, hash %x", s.(*state).version, s.(*state).hash)
		},
	}
}

// step is the stream after the call, nil if the call could not have ended so.
func (c call) step(s *state) *state {
	switch {
	case c.Outcome == Broken:
		return nil
	case !c.Append:
		return c.read(s)
	}
	there := int64(0)
	if c.repeated {
		there = s.find(c.Batch)
	}
	forgotten := c.Expected == annals.Any && s.version-there >= replayWindow
	if there > 0 && (!forgotten || c.Version == there) {
		again := c.open || c.Version == there && (c.Outcome == Unknown || c.Outcome == Done && c.Replayed)
		return when(again, s)
	}
	fits := c.Expected == annals.Any || c.Expected == s.version
	switch {
	case c.open && !fits:
		return s
	case c.Outcome == Conflict:
		return when(!fits && c.Version == s.version, s)
	case fits && (c.open || c.Version == s.version+int64(len(c.Prints))):
		return s.append(c.Operation)
	}
	return nil
}

// when is s if ok, else no state.
func when(ok bool, s *state) *state {
	if ok {
		return s
	}
	return nil
}

// read is s if it holds what the read saw.
func (c call) read(s *state) *state {
	switch {
	case c.Version < c.First: // it saw nothing
		return when(!c.ToEnd || s.version < c.First, s)
	case c.Version > s.version || c.ToEnd && c.Version < s.version:
		return nil
	case c.First == 1 && c.ToEnd:
		return when(c.Hash == s.hash, s)
	}
	at := s
	for at.version > c.Version {
		at = at.before
	}
	for i := len(c.Prints) - 1; i >= 0; i-- {
		if at.print != c.Prints[i] {
			return nil
		}
		at = at.before
	}
	return s
}

// String says what was asked and answered, for a report.
func (c call) String() string {
	if c.Append {
		return fmt.Sprintf("client %d appends batch %d, %d events, at %d: %s %d %s", c.Client, c.Batch, len(c.Prints), c.Expected, c.Outcome, c.Version, c.Why)
	}
	return fmt.Sprintf("client %d reads %d to %d (end: %v): %s %s", c.Client, c.First, c.Version, c.ToEnd, c.Outcome, c.Why)
}
