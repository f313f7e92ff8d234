package effect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/eb901187/annals"
)

// refresh reads what has come to the ledger since b was read.
func (b *book) refresh(ctx context.Context, store *annals.Store) error {
	for e, err := range store.Stream(ctx, RepairStream(b.handler), &annals.StreamOptions{From: b.version + 1}) {
		if err != nil {
			return err
		}
		if err := b.read(&e); err != nil {
			return err
		}
	}
	return nil
}

func readBook(ctx context.Context, store *annals.Store, handler string) (*book, error) {
	b := newBook(handler)
	return b, b.refresh(ctx, store)
}

// A line is an event to append to a ledger. id makes it one that is stored once
// however often it is appended.
type line struct {
	id, typ string
	subject string // that the event at hand names
	note    note
}

// write appends what decide makes of the ledger as it is, and decides anew whenever
// another process was faster, or more was to be written than a commit holds. decide
// may return nothing. After it b has read what was written.
func (b *book) write(ctx context.Context, store *annals.Store, decide func() ([]line, error)) error {
	const tries = 100
	for try := 1; ; try++ {
		lines, err := decide()
		if err != nil || len(lines) == 0 {
			return err
		}
		events := make([]annals.Event, len(lines))
		for i, l := range lines {
			if events[i], err = l.event(); err != nil {
				return err
			}
		}
		n := room(events)
		_, err = store.Append(ctx, RepairStream(b.handler), b.version, events[:n]...)
		overtaken := errors.Is(err, annals.ErrConflict) || errors.Is(err, annals.ErrIDReused)
		if err != nil && (!overtaken || try == tries || ctx.Err() != nil) {
			return err
		}
		if refresh := b.refresh(ctx, store); refresh != nil || err == nil && n == len(events) {
			return refresh
		}
		if err == nil {
			try = 0
		}
	}
}

// room is how many of events a commit holds, each of which fits into one.
func room(events []annals.Event) int {
	const perEvent = 4 << 10 // of what is not data
	size := 0
	for i := range events {
		size += len(events[i].Data) + perEvent
		if i == annals.MaxCommitEvents || i > 0 && size > annals.MaxCommitBytes {
			return i
		}
	}
	return len(events)
}

func (l *line) event() (annals.Event, error) {
	data, err := json.Marshal(&l.note)
	return annals.Event{ID: l.id, Type: l.typ, Attributes: about(l.subject), Data: data}, err
}

// hashed makes an id.
func hashed(parts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:16])
}

// discovery is the line of a difference at an event that names subject, if any; repair
// is 0 if no repair has found it.
func (b *book) discovery(repair int64, subject string, d *Difference) (line, error) {
	kept, err := fitting(d)
	id := hashed(DifferenceFound, b.times[callKey(d.Event, d.Call)], d.form())
	return line{id, DifferenceFound, subject, note{Repair: repair, Difference: kept}}, err
}

// fitting is d as an event has room for it, and as strict JSON.
func fitting(d *Difference) (*Difference, error) {
	const room = annals.MaxDataBytes - 16<<10
	c := *d
	fits := func() (bool, error) {
		text, err := json.Marshal(&c)
		return err == nil && len(text) <= room && annals.CheckJSON(text) == nil, err
	}
	steps := []func(){
		func() { c.Was = c.Was.without(nil) },
		func() { c.Was = c.Was.without(summary) },
		func() { c.Now = summary(c.Now) },
	}
	for _, step := range steps {
		if fit, err := fits(); fit || err != nil {
			return &c, err
		}
		step()
	}
	if fit, err := fits(); !fit {
		return nil, &annals.Error{Code: annals.CodeTooLarge, Message: "the difference in call " + d.Call + " for " + d.Event + " does not fit into an event", Err: err}
	}
	return &c, nil
}

// without is e without its response, and with smaller requests.
func (e *Entry) without(smaller func(*Request) *Request) *Entry {
	if e == nil {
		return nil
	}
	c := *e
	c.Response = nil
	if smaller != nil {
		c.Request, c.Corrected = *smaller(&e.Request), smaller(e.Corrected)
	}
	return &c
}

// summary is r with the size and the hash of its body instead of the body.
func summary(r *Request) *Request {
	if r == nil || r.Truncated {
		return r
	}
	text, err := json.Marshal(r.Body)
	if err != nil {
		text = fmt.Append(nil, err)
	}
	sum := sha256.Sum256(text)
	c := *r
	c.Body = Body{Size: r.Size, Sum: hex.EncodeToString(sum[:]), Truncated: true}
	return &c
}

// byHandler sorts ids into versions by handler, none twice.
func byHandler(ids []string) (handlers []string, versions map[string][]int64, err error) {
	versions = map[string][]int64{}
	for _, id := range ids {
		handler, version, err := parseID(id)
		if err != nil {
			return nil, nil, err
		}
		versions[handler] = append(versions[handler], version)
	}
	for handler, of := range versions {
		slices.Sort(of)
		versions[handler] = slices.Compact(of)
	}
	return slices.Sorted(maps.Keys(versions)), versions, nil
}
