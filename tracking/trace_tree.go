package tracking

import (
	"strconv"
	"time"

	"github.com/eb901187/annals"
)

// linkByID gives calls the parents that they name.
func linkByID(calls []Call) {
	byID := make(map[string]int, len(calls))
	for i := range calls {
		if _, taken := byID[calls[i].CallID]; !taken {
			byID[calls[i].CallID] = i
		}
	}
	for i := range calls {
		calls[i].parent = -1
		if at, known := byID[calls[i].ParentID]; known && calls[i].ParentID != "" {
			calls[i].parent = at
		}
	}
}

// mostCauses is how many events between two calls are looked through; a longer
// chain is more likely a ring.
const mostCauses = 100

// linkByCause gives calls that name no parent the one that led to them.
func (t *Trace) linkByCause() {
	place := func(e *annals.Event) string { return e.Stream + "@" + strconv.FormatInt(e.Version, 10) }
	events := make(map[string]*annals.Event, len(t.Events))
	for i := range t.Events {
		events[place(&t.Events[i])] = &t.Events[i]
	}
	requests := make(map[*annals.Event]int, len(t.Calls))
	for i := range t.Calls {
		if t.Calls[i].Request != nil {
			requests[t.Calls[i].Request] = i
		}
	}
	for i := range t.Calls {
		c := &t.Calls[i]
		if c.ParentID != "" || c.Request == nil {
			continue
		}
		cause := c.Request
		for range mostCauses {
			next, known := events[cause.Causation]
			if !known || next.Type == ResponseType { // what an answer led to came after the call
				break
			}
			if at, is := requests[next]; is {
				c.parent = at
				break
			}
			cause = next
		}
	}
}

// arrange cuts rings of parents at the call that began first, and counts depths.
func arrange(calls []Call) {
	passed := make([]int, len(calls)) // in which walk upward, from 1
	for i := range calls {
		at := i
		for at >= 0 && passed[at] == 0 {
			passed[at] = i + 1
			at = calls[at].parent
		}
		if at < 0 || passed[at] != i+1 {
			continue
		}
		top := at
		for next := calls[at].parent; next != at; next = calls[next].parent {
			top = min(top, next)
		}
		calls[top].parent = -1
	}
	known := make([]bool, len(calls))
	var path []int
	for i := range calls {
		path = path[:0]
		at := i
		for at >= 0 && !known[at] {
			path = append(path, at)
			at = calls[at].parent
		}
		depth := 0
		if at >= 0 {
			depth = calls[at].Depth + 1
		}
		for k := len(path) - 1; k >= 0; k-- {
			calls[path[k]].Depth, known[path[k]] = depth, true
			depth++
		}
	}
}

// giveUp ends the calls that have waited too long.
func giveUp(calls []Call, now time.Time) {
	for i := range calls {
		if c := &calls[i]; c.Open() && !now.Before(c.Began.Add(AnswerWithin)) {
			c.Ended, c.Duration, c.Error = c.Began.Add(AnswerWithin), AnswerWithin, noResponse
		}
	}
}

// failures says of each call whether it failed: by itself, or canceled within a call
// that did.
func failures(calls []Call) []bool {
	failed, known := make([]bool, len(calls)), make([]bool, len(calls))
	var path []int
	for i := range calls {
		path = path[:0]
		at := i
		for !known[at] && calls[at].Canceled() && calls[at].parent >= 0 {
			path = append(path, at)
			at = calls[at].parent
		}
		if !known[at] {
			failed[at], known[at] = calls[at].Failed(), true
		}
		for _, k := range path {
			failed[k], known[k] = failed[at], true
		}
	}
	return failed
}

// firstFailure is the call at fault, -1 if none failed. A failed call within which
// another failed is a consequence.
func firstFailure(calls []Call) int {
	failed, consequence := failures(calls), make([]bool, len(calls))
	for i := range calls {
		if !failed[i] {
			continue
		}
		for at := calls[i].parent; at >= 0 && !consequence[at]; at = calls[at].parent {
			consequence[at] = true
		}
	}
	first := -1
	for i := range calls {
		if failed[i] && !consequence[i] && (first < 0 || calls[i].Ended.Before(calls[first].Ended)) {
			first = i
		}
	}
	return first
}
