package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/eb901187/annals"
)

// Streams implements annals.StreamLister.
func (d *driver) Streams(ctx context.Context, q annals.StreamsQuery) iter.Seq2[annals.StreamInfo, error] {
	return func(yield func(annals.StreamInfo, error) bool) {
		for _, span := range listedSpans(q) {
			if !d.streamsWithin(ctx, span, yield) {
				return
			}
		}
		runtime.KeepAlive(d)
	}
}

// A nameSpan is the names from ≤ name < before; before "" is no bound.
type nameSpan struct{ from, before string }

// listedSpans are the names that q asks for, in order. Those of Annals' own streams
// are left out by bounds, as there may be more of them than of all others.
func listedSpans(q annals.StreamsQuery) []nameSpan {
	span := nameSpan{q.Prefix, behind(q.Prefix)}
	if q.After != "" {
		span.from = max(span.from, q.After+"\x00")
	}
	spans := []nameSpan{span}
	if !strings.HasPrefix(q.Prefix, annals.OwnPrefix) {
		others := behind(annals.OwnPrefix)
		low, high := span, nameSpan{max(span.from, others), span.before}
		if low.before == "" || low.before > annals.OwnPrefix {
			low.before = annals.OwnPrefix
		}
		spans = []nameSpan{low, high}
	}
	return slices.DeleteFunc(spans, func(s nameSpan) bool { return s.before != "" && s.from >= s.before })
}

// behind is the first name after all those that start with prefix, "" for none.
func behind(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1) // names are ASCII
}

// streamsWithin yields the streams of a span; false ends the listing.
func (d *driver) streamsWithin(ctx context.Context, span nameSpan, yield func(annals.StreamInfo, error) bool) (goOn bool) {
	fail := func(err error) bool { return yield(annals.StreamInfo{}, err) && false }
	if err := d.interrupted(ctx); err != nil {
		return fail(err)
	}
	// What memory holds is taken first: what the index takes in meanwhile is then
	// found in both, and nothing in neither.
	memory := d.tailsNow()
	lists := memory.within(span)
	reader, err := d.index.heads(span)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := reader.close(); err != nil && goOn {
			goOn = fail(err)
		}
	}()
	sealed, err := reader.nextHead()
	for err == nil {
		name := sealed.Name
		for _, list := range lists {
			if len(list) > 0 && (name == "" || list[0] < name) {
				name = list[0]
			}
		}
		if name == "" {
			return true
		}
		for i, list := range lists {
			if len(list) > 0 && list[0] == name {
				lists[i] = list[1:]
			}
		}
		version := d.tailVersion(memory, name)
		if name == sealed.Name {
			version = max(version, sealed.Version)
			sealed, err = reader.nextHead()
		}
		if err == nil {
			err = d.interrupted(ctx)
		}
		if err == nil && !yield(annals.StreamInfo{Name: name, Version: version}, nil) {
			return false
		}
	}
	return fail(err)
}

// heldTails are the tails as they were at one moment, newest first, with the names
// of the streams that each held then.
type heldTails []heldTail

type heldTail struct {
	tail  *tail
	names []string
}

func (d *driver) tailsNow() (held heldTails) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, t := range [...]*tail{d.active, d.frozen} {
		if t != nil {
			held = append(held, heldTail{t, t.names})
		}
	}
	return held
}

// within returns the names of a span in order, a list for each tail.
func (h heldTails) within(span nameSpan) (lists [][]string) {
	for _, t := range h {
		sorted := t.tail.sorted.upTo(t.names)
		low, _ := slices.BinarySearch(sorted, span.from)
		high := len(sorted)
		if span.before != "" {
			high, _ = slices.BinarySearch(sorted, span.before)
		}
		lists = append(lists, sorted[low:high])
	}
	return lists
}

// tailVersion is the version that a stream has in the newest tail that holds it, 0
// for none.
func (d *driver) tailVersion(held heldTails, stream string) int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, t := range held {
		if s := t.tail.streams[stream]; s != nil {
			return s.version()
		}
	}
	return 0
}

// sortedNames is a tail's names in order. It is brought up to date by whoever lists
// them, as no append is to wait for that.
type sortedNames struct {
	mu    sync.Mutex
	names []string
}

// upTo returns the names in order, of which it has sorted the first ones before, and
// maybe some that came later. The result is not to be changed.
func (s *sortedNames) upTo(names []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := len(s.names); known < len(names) {
		s.names = merged(s.names, slices.Sorted(slices.Values(names[known:])))
	}
	return s.names
}

// merged returns the names of two sorted lists in order.
func merged(a, b []string) []string {
	out := make([]string, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// heads opens the versions of a span's streams for reading; the reader must be
// closed.
func (x *index) heads(span nameSpan) (*chunkReader, error) {
	upper := []byte{byte(streamHead) + 1}
	if span.before != "" {
		upper = nameKey(streamHead, span.before)
	}
	return x.reader(streamHead, "", nameKey(streamHead, span.from), upper)
}

// nextHead moves to the next stream of heads; one without a name behind the last.
func (r *chunkReader) nextHead() (info annals.StreamInfo, err error) {
	return info, r.x.use(func() error {
		move := r.it.Next
		if !r.started {
			move, r.started = r.it.First, true
		}
		if !move() {
			return r.x.err(r.it.Error())
		}
		name, isHead := bytes.CutPrefix(r.it.Key(), []byte{byte(streamHead)})
		version, n := binary.Uvarint(r.it.Value())
		if !isHead || n <= 0 {
			return damagedIndex(r.x.dir, "the version of stream "+string(name)+" is damaged", nil)
		}
		info = annals.StreamInfo{Name: string(name), Version: int64(version)}
		return nil
	})
}
