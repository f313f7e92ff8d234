package proof

import (
	"fmt"
	"strings"
)

// What is wrong with a part of a log.
type What string

// What Verify finds.
const (
	Changed    What = "changed"      // it is not what was appended
	Missing    What = "missing"      // it was removed
	OutOfOrder What = "out_of_order" // it stands in another place than it was appended to
	Unreadable What = "unreadable"   // the store itself refuses it, and what is behind it was not read
)

// A Span is a range of numbers, both ends included; zero for none.
type Span struct {
	First int64 `json:"first,string"`
	Last  int64 `json:"last,string"`
}

func (s Span) String() string {
	if s.First == s.Last {
		return fmt.Sprint(s.First)
	}
	return fmt.Sprintf("%d to %d", s.First, s.Last)
}

// A Finding names a part of a log that is not as it was appended.
type Finding struct {
	What What `json:"what"`
	// Stream and Versions are the events, where they are known to be of one stream.
	Stream   string `json:"stream,omitempty"`
	Versions Span   `json:"versions,omitzero"`
	// Positions are where they stand, or stood. A range that more than one stream has a
	// part in is the smallest that can be told.
	Positions Span `json:"positions,omitzero"`
	// Detail says how it was found.
	Detail string `json:"detail"`
}

// String is the finding as a line of text.
func (f Finding) String() string {
	var b strings.Builder
	if f.Stream != "" {
		fmt.Fprintf(&b, "%s@%v", f.Stream, f.Versions)
	}
	if f.Positions != (Span{}) {
		positions := "position"
		if f.Positions.First != f.Positions.Last {
			positions = "positions"
		}
		if f.Stream != "" {
			fmt.Fprintf(&b, " (%s %v)", positions, f.Positions)
		} else {
			fmt.Fprintf(&b, "%s %v", positions, f.Positions)
		}
	}
	if b.Len() == 0 {
		b.WriteString("the log")
	}
	fmt.Fprintf(&b, ": %s: %s", strings.ReplaceAll(string(f.What), "_", " "), f.Detail)
	return b.String()
}
