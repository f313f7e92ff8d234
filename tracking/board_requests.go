package tracking

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	// slack is how many more requests than it lists a Board keeps, so that one is
	// complete when it goes.
	slack = 1_000
	// mostMessages is how many messages of all requests a Board keeps.
	mostMessages = 60_000
	// mostOfRequest is how many messages of one request a Board keeps; of calls
	// that it knows by then it keeps up to twice as many.
	mostOfRequest = 1_000
	// mostServices is how many services of a request a Board lists.
	mostServices = 50
	// mostText is the most bytes of a text that a Board keeps.
	mostText = 128
	// parentWithin is how long a call waits for its parent to be known before it
	// counts as made by its source.
	parentWithin = 2 * time.Second
)

// A knowledge is what a Board knows. The Board's mutex guards it, but for the
// places in the log, which are those of the one goroutine that reads.
type knowledge struct {
	head, low int64         // what stands between these positions is known; -1 before the first read
	backward  int           // how many events were read backward
	ready     chan struct{} // closed after the first read

	seen    int64 // the head, for those who look
	reading bool  // backward
	old     int   // how many events in a row were too old
	problem error
	// deaf is when the log could not be read any more; zero once it was read to its end.
	deaf time.Time
	// since is the time of the event read furthest back or, once the whole log is read,
	// earliest, that of the earliest event.
	since, earliest time.Time

	requests map[string]*flow
	// newer came forward, in order; older came backward, so that the last is the oldest.
	// passing came backward when there was no room, and only count.
	newer, older, passing []*flow
	messages              int
	evicted               bool
	unsettled             map[*flow]bool
	edges                 map[edge]*traffic
	names                 map[string]string // services, each kept once
}

// A flow is what is known of a request.
type flow struct {
	Request
	messages []message
	ids      map[string]bool // of the calls that are known, once there are too many
	lost     int             // messages that were not kept
	heard    time.Time       // when the last message came
	changed  bool            // since it was settled
	due      time.Time       // when to settle it although nothing came; zero for never
}

func newKnowledge() *knowledge {
	return &knowledge{
		head: -1, low: -1, reading: true, ready: make(chan struct{}), requests: map[string]*flow{},
		unsettled: map[*flow]bool{}, edges: map[edge]*traffic{}, names: map[string]string{},
	}
}

// begun lets those in who look.
func (k *knowledge) begun() {
	select {
	case <-k.ready:
	default:
		close(k.ready)
	}
}

func (k *knowledge) state() BoardState {
	return BoardState{Since: k.since, Reading: k.reading, Problem: k.problem}
}

// tooOld reports whether it is not worth to read further back than at.
func (k *knowledge) tooOld(at, now time.Time) bool {
	switch n := len(k.requests); {
	case n >= BoardRequests:
		return now.Sub(at) > BoardWindow
	case n >= enoughRequests:
		return now.Sub(at) > oldest
	default:
		return false
	}
}

// take adds a message.
func (k *knowledge) take(h *heard, forward bool, now time.Time) {
	if h.requestID == "" {
		return // no trace is of it
	}
	if !forward || k.since.IsZero() {
		k.since = h.at
	}
	if k.earliest.IsZero() || h.at.Before(k.earliest) {
		k.earliest = h.at
	}
	r := k.requests[h.requestID]
	if r == nil {
		r = &flow{Request: Request{ID: h.requestID}}
		switch {
		case forward:
			k.newer = append(k.newer, r)
		case !k.full():
			k.older = append(k.older, r)
		case !h.response:
			return // its response has passed
		default:
			k.passing = append(k.passing, r)
		}
		k.requests[h.requestID] = r
	}
	m := h.message
	r.changed, r.heard = true, now
	k.unsettled[r] = true
	if !r.keeps(&m) {
		r.lost++
		if m.response {
			c := Call{Began: m.at}
			c.answer(&m)
			k.count(edge{m.source, m.service}, m.at, c.Duration, c.Failed(), now)
		}
		return
	}
	r.messages = append(r.messages, m)
	k.messages++
	for len(k.requests) > BoardRequests+slack+len(k.passing) || len(k.passing) > slack || k.messages > mostMessages && len(k.requests) > 1 {
		k.evict(now)
	}
}

// keeps reports whether there is room for m: always for the other half of a call
// that is known, so that none seems to wait for ever.
func (r *flow) keeps(m *message) bool {
	n := len(r.messages)
	if n < mostOfRequest {
		return true
	}
	if r.ids == nil {
		r.ids = map[string]bool{}
		for i := range r.messages {
			r.ids[r.messages[i].callID] = r.messages[i].callID != ""
		}
	}
	return n < 2*mostOfRequest && r.ids[m.callID]
}

// full reports whether there is no room for older requests.
func (k *knowledge) full() bool {
	return len(k.newer)+len(k.older) >= BoardRequests || k.messages >= mostMessages*9/10
}

// oldestKept is the request that goes next of those that came to stay.
func (k *knowledge) oldestKept() *flow {
	if n := len(k.older); n > 0 {
		return k.older[n-1]
	}
	return k.newer[0]
}

func (k *knowledge) evict(now time.Time) {
	var r *flow
	switch {
	case len(k.passing) > 0:
		r = k.passing[0]
		k.passing = k.passing[1:]
	case len(k.older) > 0:
		r = k.oldestKept()
		k.older, k.evicted = k.older[:len(k.older)-1], true
	default:
		r = k.newer[0]
		k.newer[0] = nil
		k.newer, k.evicted = k.newer[1:], true
	}
	k.settle(r, now, true)
	delete(k.requests, r.ID)
	delete(k.unsettled, r)
	k.messages -= len(r.messages)
}

// listened is the time up to which what is not known did not happen: whatever came after
// the log could not be read any more may stand in it.
func (k *knowledge) listened(now time.Time) time.Time {
	if !k.deaf.IsZero() && k.deaf.Before(now) {
		return k.deaf
	}
	return now
}

// settleAll brings up to date what has changed, or changes as time passes.
func (k *knowledge) settleAll(now time.Time) {
	for r := range k.unsettled {
		if r.changed || !r.due.IsZero() && !k.listened(now).Before(r.due) {
			k.settle(r, now, false)
		}
		if r.due.IsZero() {
			delete(k.unsettled, r)
		}
	}
}

// settle sums up a request and counts its calls that have ended. last says that no
// more will be known.
func (k *knowledge) settle(r *flow, now time.Time, last bool) {
	slices.SortStableFunc(r.messages, func(a, b message) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.position, b.position))
	})
	calls := pair(r.messages)
	linkByID(calls)
	arrange(calls)
	r.changed, r.due = false, time.Time{}
	if r.lost == 0 {
		giveUp(calls, k.listened(now))
	}
	for i := range calls {
		c := &calls[i]
		caller, sure := c.Source, true
		if c.parent >= 0 {
			caller = calls[c.parent].Service
		} else if c.ParentID != "" && !last {
			sure = k.listened(now).Sub(r.heard) >= parentWithin
		}
		switch {
		case c.Open() && r.lost == 0:
			r.wake(c.Began.Add(AnswerWithin))
		case c.Open():
		case !sure:
			r.wake(r.heard.Add(parentWithin))
		case r.mark(c):
			k.count(edge{caller, c.Service}, c.Ended, c.Duration, c.Failed(), now)
		}
	}
	r.sum(calls)
}

// wake sets when to settle r again: at, if that is the earliest.
func (r *flow) wake(at time.Time) {
	if r.due.IsZero() || at.Before(r.due) {
		r.due = at
	}
}

// mark reports whether a call was not counted yet, and notes that it is.
func (r *flow) mark(c *Call) bool {
	counted := false
	for _, i := range []int{c.request, c.response} {
		if i >= 0 {
			counted = counted || r.messages[i].counted
			r.messages[i].counted = true
		}
	}
	return !counted
}

// sum writes the summary of the request's calls.
func (r *flow) sum(calls []Call) {
	s := Request{ID: r.ID, Calls: len(calls), Partial: r.lost > 0}
	if at := firstFailure(calls); at >= 0 {
		s.Failed, s.Faulty = true, calls[at].Service
	}
	failedTop, ended := false, time.Time{}
	for i := range calls {
		c := &calls[i]
		if i == 0 {
			s.Began = c.Began
		}
		s.Open = s.Open || c.Open()
		if c.Ended.After(ended) {
			ended = c.Ended
		}
		note(&s.Services, c.Service)
		if c.Failed() {
			note(&s.Failing, c.Service)
		}
		if c.parent >= 0 {
			continue
		}
		s.Method, s.Path = cmp.Or(s.Method, c.Method), cmp.Or(s.Path, c.Path)
		if !failedTop {
			s.Status, failedTop = c.Status, c.Failed()
		}
	}
	s.Duration = max(ended.Sub(s.Began), 0)
	r.Request = s
}

// note adds a service to a list.
func note(services *[]string, service string) {
	if len(*services) < mostServices && !slices.Contains(*services, service) {
		*services = append(*services, service)
	}
}

// newestFirst orders requests as they are listed.
func newestFirst(a, b *Request) int {
	return cmp.Or(b.Began.Compare(a.Began), cmp.Compare(b.ID, a.ID))
}

// matches reports whether q lists r, on this page or a later one.
func (q *RequestQuery) matches(r *Request) bool {
	services := r.Services
	if q.Failing {
		services = r.Failing
	}
	return (!q.Failing || r.Failed) && strings.HasPrefix(r.ID, q.Prefix) &&
		(q.Service == "" || slices.Contains(services, q.Service)) &&
		(q.Before.IsZero() || newestFirst(&Request{Began: q.Before, ID: q.BeforeID}, r) < 0)
}

// list answers q, and whether there are more. It holds no more than it lists, so that
// a page of ten thousand requests costs one look at each.
func (k *knowledge) list(q RequestQuery) (listed []Request, more bool) {
	n := q.Limit
	if n <= 0 {
		n = 100
	}
	var found []*Request
	for _, f := range k.requests {
		r := &f.Request
		full := len(found) == n
		if !q.matches(r) {
			continue
		}
		if more = more || full; full && newestFirst(found[n-1], r) < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(found, r, newestFirst)
		if full {
			found = found[:n-1]
		}
		found = slices.Insert(found, at, r)
	}
	listed = make([]Request, len(found))
	for i, r := range found {
		listed[i] = *r
	}
	return listed, more
}
