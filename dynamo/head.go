package dynamo

import (
	"container/list"
	"context"
	"math"
	"sync"

	"github.com/eb901187/annals"
)

// window is over how many of its last events a stream's ids are known.
const window = 1000

// maxCachedIDs bounds what all heads hold together, some 50 bytes for an id; a
// head by itself counts as headIDs of them.
const (
	maxCachedIDs = 500_000
	headIDs      = 10
)

// A head is what this process believes of the end of a stream. It may be wrong:
// then a put finds its key taken.
type head struct {
	stream string
	turn   chan struct{} // holds one value; who takes it may append and change the rest
	users  int           // who hold or await the turn; by heads.mu
	place  *list.Element
	cached int // ids, as counted in heads.ids

	known   bool
	version int64
	hash    annals.Hash      // of the last commit; zero where there is none
	ids     map[uint64]int64 // hashes of the ids of the last events, to their versions
}

type heads struct {
	mu       sync.Mutex
	byStream map[string]*head
	recent   *list.List // the least recently used last
	ids      int
	most     int
}

func newHeads() *heads {
	return &heads{byStream: map[string]*head{}, recent: list.New(), most: maxCachedIDs}
}

// enter returns the head of a stream, counting the caller among its users.
func (h *heads) enter(stream string) *head {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.byStream[stream]
	if at == nil {
		at = &head{stream: stream, turn: make(chan struct{}, 1)}
		at.turn <- struct{}{}
		at.place = h.recent.PushFront(at)
		h.byStream[stream] = at
	}
	at.users++
	h.recent.MoveToFront(at.place)
	return at
}

// take returns the head of a stream when it is the caller's turn. Appends of one
// process to one stream wait for each other, as racing they would pay for puts
// that fail.
func (h *heads) take(ctx context.Context, stream string) (*head, error) {
	at := h.enter(stream)
	select {
	case <-at.turn:
		return at, nil
	case <-ctx.Done():
		h.leave(at)
		return nil, ctx.Err()
	}
}

// give ends the turn.
func (h *heads) give(at *head) {
	if len(at.ids) > 2*window {
		at.prune()
	}
	h.mu.Lock()
	h.ids += len(at.ids) + headIDs - at.cached
	at.cached = len(at.ids) + headIDs
	h.mu.Unlock()
	at.turn <- struct{}{}
	h.leave(at)
}

func (h *heads) leave(at *head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at.users--
	for last := h.recent.Back(); h.ids > h.most && last != nil; {
		old := last.Value.(*head)
		before := last.Prev()
		if old.users == 0 {
			h.recent.Remove(last)
			delete(h.byStream, old.stream)
			h.ids -= old.cached
		}
		last = before
	}
}

func (at *head) prune() {
	for hash, version := range at.ids {
		if version <= at.version-window {
			delete(at.ids, hash)
		}
	}
}

func (at *head) forget() { at.known, at.version, at.hash, at.ids = false, 0, annals.Hash{}, nil }

// extend adds a commit that follows the head, without its hash.
func (at *head) extend(first int64, hashes []uint64) {
	if at.ids == nil {
		at.ids = map[uint64]int64{}
	}
	for i, hash := range hashes {
		at.ids[hash] = first + int64(i)
	}
	at.version = first + int64(len(hashes)) - 1
}

// follow adds events that a read of the whole stream saw.
func (at *head) follow(events []annals.Event) {
	for i := range events {
		at.extend(events[i].Version, []uint64{idHash(events[i].ID)})
	}
	if len(at.ids) > 2*window {
		at.prune()
	}
}

// loadHead reads the end of the stream, newest commit first: back to what the
// head knows, or all ids of the window.
func (c *calls) loadHead(ctx context.Context, at *head) error {
	if !at.known || at.ids == nil {
		at.forget()
		at.ids = map[uint64]int64{}
	}
	known := at.version
	version, hash := known, at.hash
	for i, err := range c.query(ctx, c.eventsTable(), span{pk: at.stream, from: known + 1, to: math.MaxInt64, backward: true, few: window}) {
		if err != nil {
			return err
		}
		s, err := newStored(i)
		if err != nil {
			return err
		}
		newest := version == known
		version = max(version, s.last())
		hashes, link, err := c.facts(ctx, &s, newest)
		if err != nil {
			return err
		}
		if newest {
			hash = link
		}
		for k, hash := range hashes {
			if at.ids[hash] <= known { // not one that is newer
				at.ids[hash] = s.first + int64(k)
			}
		}
		if s.first <= version-window+1 {
			break
		}
	}
	at.version, at.hash, at.known = version, hash, true
	return nil
}

// learn takes over what a strong read of the whole stream saw at its end.
func (h *heads) learn(stream string, seen *head) {
	at := h.enter(stream)
	select {
	case <-at.turn:
		if !at.known || at.version < seen.version {
			at.known, at.version, at.hash, at.ids = true, seen.version, seen.hash, seen.ids
		}
		h.give(at)
	default: // an append is under way, and knows better
		h.leave(at)
	}
}
