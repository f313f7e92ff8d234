package annals

import (
	"context"
	"iter"
)

// A StreamsQuery says which streams to list. The zero StreamsQuery lists all but
// those of Annals itself.
type StreamsQuery struct {
	// Prefix is what the streams' names start with. Streams whose names start with
	// OwnPrefix are listed only where Prefix does too.
	Prefix string
	// After is the name behind which the list goes on: only names that are greater,
	// byte for byte. No stream need have that name.
	After string
	// Limit is the most streams to list; 0 means all.
	Limit int
}

// StreamInfo is a stream as Store.Streams lists it.
type StreamInfo struct {
	Name string
	// Version is that of its last event, read between the call and the yield.
	Version int64
}

// A StreamLister is a Driver that can list its streams at the cost of what it lists.
type StreamLister interface {
	// Streams yields the streams that q asks for in the order of their names' bytes.
	// It yields every stream that had an append which had returned when it was
	// called, once, and ends after its first error. q is valid.
	Streams(ctx context.Context, q StreamsQuery) iter.Seq2[StreamInfo, error]
}

// Streams lists streams in the order of their names' bytes, each once: every one
// whose first append returned before the call, and maybe some that came later. The
// sequence ends after its first error: ErrNotFound where the store keeps no list of
// its streams, *InvalidError.
func (s *Store) Streams(ctx context.Context, q StreamsQuery) iter.Seq2[StreamInfo, error] {
	if err := q.check(); err != nil {
		return noStreams(err)
	}
	lister, ok := s.driver.(StreamLister)
	if !ok {
		return noStreams(&Error{
			Code: CodeNotFound, Message: "this store keeps no list of its streams",
			Hint: "read the log instead: its events name their streams, and a query's prefix chooses among them",
		})
	}
	return limited(lister.Streams(ctx, q), q.Limit)
}

func (q StreamsQuery) check() error {
	var v violations
	for field, name := range map[string]string{"prefix": q.Prefix, "after": q.After} {
		if name != "" {
			v.name("", field, name, MaxStreamBytes, streamRune)
		}
	}
	v.when(q.Limit < 0, "limit", "must not be negative")
	return v.err()
}

func noStreams(err error) iter.Seq2[StreamInfo, error] {
	return func(yield func(StreamInfo, error) bool) { yield(StreamInfo{}, err) }
}
