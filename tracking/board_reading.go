package tracking

import (
	"context"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

const (
	// chunk is how many events are read at once.
	chunk = 2_000
	// mostBackward is how many events are read backward.
	mostBackward = 200_000
	// oldest is how old the events may be that are read backward once enoughRequests
	// are known.
	oldest         = 24 * time.Hour
	enoughRequests = 1_000
	// enoughOld is how many events in a row that are too old end the reading
	// backward: a few may be late.
	enoughOld = 1_000
)

// learn reads what was appended since, and a chunk backward while that is not done.
func (b *Board) learn(ctx context.Context, k *knowledge) error {
	end, err := b.store.End(ctx)
	if err != nil {
		return err
	}
	if k.head < 0 {
		k.head, k.low = end, end
	}
	for k.head < end {
		messages, err := b.read(ctx, k, annals.Query{After: k.head, Until: end, Limit: chunk})
		if err != nil {
			return err
		}
		k.head = end
		if n := len(messages); n == chunk {
			k.head = messages[n-1].position
		}
		b.learned(k, messages, true)
	}
	if !k.reading {
		return nil
	}
	var messages []heard
	if k.low > 0 {
		if messages, err = b.read(ctx, k, annals.Query{Until: k.low, Backward: true, Limit: chunk}); err != nil {
			return err
		}
	}
	k.backward += len(messages)
	k.low = 0
	if n := len(messages); n == chunk {
		k.low = messages[n-1].position - 1
	}
	b.learned(k, messages, false)
	return nil
}

// A heard is a message and the request that it is about.
type heard struct {
	message
	requestID string
}

func (b *Board) read(ctx context.Context, k *knowledge, q annals.Query) ([]heard, error) {
	q.Types = []string{RequestType, ResponseType}
	var messages []heard
	for e, err := range b.store.Log(ctx, q) {
		if err != nil {
			return nil, err
		}
		m, _ := parse(&e)
		k.shorten(&m)
		messages = append(messages, heard{m, strings.Clone(e.Correlation)})
	}
	return messages, nil
}

// learned takes in what was read.
func (b *Board) learned(k *knowledge, messages []heard, forward bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.opts.Clock()
	k.seen = k.head
	for i := range messages {
		m := &messages[i]
		if !forward {
			if k.old++; !k.tooOld(m.at, now) {
				k.old = 0
			}
		}
		k.take(m, forward, now)
	}
	k.settleAll(now)
	if !forward && (k.low == 0 || k.backward >= mostBackward || k.old >= enoughOld) {
		k.reading = false
		if k.low == 0 {
			k.since = k.earliest
		}
		for len(k.passing) > 0 {
			k.evict(now)
		}
	}
}

// shorten bounds what m takes.
func (k *knowledge) shorten(m *message) {
	if len(k.names) > 2*mostEdges {
		clear(k.names)
	}
	for _, name := range []*string{&m.service, &m.source} {
		short := cut(*name, mostText)
		known, is := k.names[short]
		if !is {
			known = strings.Clone(short)
			k.names[known] = known
		}
		*name = known
	}
	m.callID, m.parentID = strings.Clone(cut(m.callID, mostText)), strings.Clone(cut(m.parentID, mostText))
	if m.errorKind != KindCanceled {
		m.errorKind = ""
	}
	if m.err != "" {
		m.err = "failed" // what it says is the trace's to tell
	}
	m.method, m.path = strings.Clone(cut(m.method, 16)), strings.Clone(cut(m.path, mostText))
}
