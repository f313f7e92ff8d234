package tracking

import "github.com/eb901187/annals"

// A queue holds events in memory, numbered from 0 as they came.
type queue struct {
	events []annals.Event // those before head are gone
	head   int
	first  int64 // number of the event at head
	bytes  int64
}

func (q *queue) len() int { return len(q.events) - q.head }

func (q *queue) end() int64 { return q.first + int64(q.len()) }

func (q *queue) push(events []annals.Event) {
	if q.head > 1024 && q.head > len(q.events)/2 && len(q.events)+len(events) > cap(q.events) {
		n := copy(q.events, q.events[q.head:])
		clear(q.events[n:])
		q.events, q.head = q.events[:n], 0
	}
	for i := range events {
		q.bytes += sizeOf(&events[i])
	}
	q.events = append(q.events, events...)
}

// front copies events from the front: up to n of at most bytes together, at
// least one if there is one, with numbers below before.
func (q *queue) front(n int, bytes, before int64) []annals.Event {
	n = int(min(int64(n), int64(q.len()), max(before-q.first, 0)))
	k, sum := 0, int64(0)
	for k < n {
		if sum += sizeOf(&q.events[q.head+k]); k > 0 && sum > bytes {
			break
		}
		k++
	}
	return append([]annals.Event(nil), q.events[q.head:q.head+k]...)
}

// drop removes the events with numbers below end and returns how many that were.
func (q *queue) drop(end int64) int64 {
	n := max(end-q.first, 0)
	for range n {
		q.bytes -= sizeOf(&q.events[q.head])
		q.events[q.head] = annals.Event{}
		q.head++
	}
	q.first += n
	if q.head == len(q.events) {
		q.events, q.head = q.events[:0], 0
	}
	if len(q.events) == 0 && cap(q.events) > 16*batchEvents {
		q.events = nil // what a flood needed
	}
	return n
}

// sizeOf is what an event takes of memory, about.
func sizeOf(e *annals.Event) int64 {
	const fixed = 320
	n := fixed + len(e.ID) + len(e.Type) + len(e.Source) + len(e.Correlation) + len(e.Causation) + len(e.ContentType) + len(e.Stream) + cap(e.Data)
	for name, value := range e.Attributes {
		n += 64 + len(name) + len(value)
	}
	return int64(n)
}
