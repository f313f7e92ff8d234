package access

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/eb901187/annals"
)

// Stream is where Record appends.
const Stream = annals.OwnPrefix + "operators"

// ActionType is the type of its events.
const ActionType = "operator-action"

// An Action is what an operator did, or tried to do.
type Action struct {
	Who    string    `json:"who"`
	At     time.Time `json:"at"`
	What   string    `json:"what"`             // such as "projection.switch", as the route or the console's action is called
	Target string    `json:"target,omitempty"` // such as the projection's name
	Detail string    `json:"detail,omitempty"` // such as the reason that was given
	// Address is where it was asked from; empty for the machine of the store itself.
	Address string `json:"address,omitempty"`
	// Error is why it failed; empty if it was done.
	Error string `json:"error,omitempty"`
	// Version is its place in Stream, where Actions has read it.
	Version int64 `json:"-"`
}

// maxText is up to how many bytes of each text of an Action are kept.
const maxText = 4 << 10

// Record appends a to Stream, with the time of the store's clock if it has none, also
// when ctx has ended. It notes what was done, after it was done: an error says that the
// note is missing, not that the action failed. Texts are cut off behind 4 KiB.
func Record(ctx context.Context, store *annals.Store, a Action) error {
	for _, text := range []*string{&a.Who, &a.What, &a.Target, &a.Detail, &a.Address, &a.Error} {
		if len(*text) > maxText {
			*text = strings.ToValidUTF8((*text)[:maxText], "") + "…"
		}
	}
	a.At = a.At.UTC().Round(0)
	data, err := json.Marshal(a)
	if err != nil {
		return annals.Invalid("at", "can't be written: %v", err)
	}
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err = store.Append(ctx, Stream, annals.Any, annals.Event{Type: ActionType, Time: a.At, Data: data})
	return err
}

// Refusals decides which attempts that were refused are noted, so that who keeps trying
// does not fill the store: 60, and then one a second. The zero Refusals is ready for use,
// also concurrent.
type Refusals struct {
	mu      sync.Mutex
	limiter *rate.Limiter
	left    int // out since the last that was noted
}

// Note reports whether a, which was refused at a.At, is to be noted; its Detail then
// says how many were left out before it.
func (r *Refusals) Note(a *Action) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limiter == nil {
		const most = 60
		r.limiter = rate.NewLimiter(1, most)
	}
	if !r.limiter.AllowN(a.At, 1) {
		r.left++
		return false
	}
	if r.left > 0 {
		a.Detail = strings.TrimSpace(fmt.Sprintf("%s (%d refused before this are not noted)", a.Detail, r.left))
	}
	r.left = 0
	return true
}

// maxRead is how many actions Actions reads at most.
const maxRead = 1000

// ActionsOptions changes what Actions returns; nil means the newest actions.
type ActionsOptions struct {
	// Before is the version in Stream that all are before; 0 is the end.
	Before int64
	// Limit is how many there are at most, up to 1,000; 100 by default.
	Limit int
	// Who and What leave out the actions of others, and other actions, unless empty.
	// Those that What starts are meant too: "projection" means "projection.switch".
	Who, What string
}

// Actions reads what operators did, the newest first. next is the Before of the page
// behind this one, 0 if there is none. Where Who or What leave out many, a page ends
// after 1,000 actions read, with fewer than Limit.
func Actions(ctx context.Context, store *annals.Store, opts *ActionsOptions) (page []Action, next int64, err error) {
	var o ActionsOptions
	if opts != nil {
		o = *opts
	}
	if o.Limit <= 0 {
		o.Limit = 100
	}
	o.Limit = min(o.Limit, maxRead)
	reads := o.Limit
	if o.Who != "" || o.What != "" {
		reads = maxRead
	}
	span := annals.StreamOptions{Backward: true, Limit: reads}
	switch {
	case o.Before < 0:
		return nil, 0, annals.Invalid("before", "must be 0 or a version")
	case o.Before == 1:
		return nil, 0, nil
	case o.Before > 1:
		span.To = o.Before - 1
	}
	for e, err := range store.Stream(ctx, Stream, &span) {
		if err != nil {
			return nil, 0, err
		}
		next = e.Version
		if a := action(&e); o.shows(&a) {
			page = append(page, a)
		}
		if len(page) == o.Limit {
			break
		}
	}
	if next == 1 {
		next = 0 // nothing is before the first
	}
	return page, next, nil
}

// action is the Action of an event. What somebody else has put into the stream is shown
// as such.
func action(e *annals.Event) (a Action) {
	if e.Type != ActionType {
		a = Action{At: e.Time, What: e.Type, Error: "this event is no operator's action"}
	} else if err := json.Unmarshal(e.Data, &a); err != nil {
		a = Action{At: e.Time, What: e.Type, Error: fmt.Sprintf("this event can't be read: %v", err)}
	}
	if a.At.IsZero() {
		a.At = e.Time
	}
	a.Version = e.Version
	return a
}

func (o *ActionsOptions) shows(a *Action) bool {
	rest, starts := strings.CutPrefix(a.What, o.What)
	return (o.Who == "" || a.Who == o.Who) && (o.What == "" || starts && (rest == "" || rest[0] == '.'))
}
