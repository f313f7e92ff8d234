package effect

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// RepairOptions say what a repair is about.
type RepairOptions struct {
	// From is the position of the first event to handle again, from 1.
	From int64
	// To is the position of the last one; 0 is what the handler has reached when
	// the repair starts. Events that it has not reached are left out.
	To int64
	// Reason says why, for those who come later.
	Reason string
}

// RequestRepair asks for a repair of a handler: whichever process runs it next does
// the work, as soon as it sees the request. Requests are carried out in order.
//
// Errors: annals.ErrNotFound for a handler that makes no outside calls;
// annals.ErrInvalid for positions that make no sense, or past the log's end.
func RequestRepair(ctx context.Context, store *annals.Store, handler string, opts RepairOptions) (RepairRun, error) {
	if err := checkRepair(ctx, store, handler, &opts); err != nil {
		return RepairRun{}, err
	}
	b, err := readBook(ctx, store, handler)
	if err != nil {
		return RepairRun{}, err
	}
	// Without an id of its own each request is another one.
	request, version := line{typ: RepairRequested, note: note{From: opts.From, To: opts.To, Reason: strings.TrimSpace(opts.Reason)}}, int64(0)
	err = b.write(ctx, store, func() ([]line, error) {
		version = b.version + 1
		return []line{request}, nil
	})
	if err != nil {
		return RepairRun{}, err
	}
	return *b.byRepair[version], nil
}

func checkRepair(ctx context.Context, store *annals.Store, handler string, opts *RepairOptions) error {
	switch {
	case opts.From < 1:
		return annals.Invalid("from", "must be a position from 1: that of the first event to handle again")
	case opts.To != 0 && opts.To < opts.From:
		return annals.Invalid("to", "must not lie before from, which is %d", opts.From)
	}
	if err := knownHandler(ctx, store, handler); err != nil {
		return err
	}
	end, err := store.End(ctx)
	if err == nil && opts.From > end {
		err = annals.Invalid("from", "is %d, and the log ends at %d: nothing to do", opts.From, end)
	}
	return err
}

// knownHandler is annals.ErrNotFound unless handler has ever made outside calls
// possible.
func knownHandler(ctx context.Context, store *annals.Store, handler string) error {
	if err := checkHandler(handler); err != nil {
		return err
	}
	for _, err := range store.Stream(ctx, HandlerStream(handler), &annals.StreamOptions{Limit: 1}) {
		return err
	}
	return &annals.Error{
		Code: annals.CodeNotFound, Message: "this store knows no handler " + handler + " that makes outside calls",
		Hint: "annals reaction list names those that there are; one is known once it has run with a Gateway",
	}
}

func existingBook(ctx context.Context, store *annals.Store, handler string) (*book, error) {
	if err := knownHandler(ctx, store, handler); err != nil {
		return nil, err
	}
	return readBook(ctx, store, handler)
}

// Repairs lists the repairs of a handler in the order in which they were asked for;
// annals.ErrNotFound for a handler that makes no outside calls.
func Repairs(ctx context.Context, store *annals.Store, handler string) ([]RepairRun, error) {
	b, err := existingBook(ctx, store, handler)
	if err != nil {
		return nil, err
	}
	all := make([]RepairRun, len(b.repairs))
	for i, r := range b.repairs {
		all[i] = *r
	}
	return all, nil
}

// Differences lists what repairs of a handler have found, in that order, whatever
// became of it; annals.ErrNotFound for a handler that makes no outside calls.
func Differences(ctx context.Context, store *annals.Store, handler string) ([]Finding, error) {
	b, err := existingBook(ctx, store, handler)
	if err != nil {
		return nil, err
	}
	all := make([]Finding, len(b.findings))
	for i, f := range b.findings {
		all[i] = *f
	}
	return all, nil
}

// Approve lets corrections of these findings be sent, by whichever process runs
// their handlers. Those of one handler are approved together. None is if one of
// them can't be: annals.ErrConflict for one that is approved, corrected or
// superseded already, annals.ErrNotFound for one that does not exist.
func Approve(ctx context.Context, store *annals.Store, ids ...string) error {
	return decideOn(ctx, store, ids, DifferencesApproved, "", func(f *Finding) error {
		switch f.State {
		case Open, Rejected, Uncorrected:
			return nil
		}
		return f.settled("approve")
	})
}

// Reject leaves these findings as they are: later repairs don't find them again
// unless the code asks for something else by then. reason says why and must not be
// empty. For errors see Approve; what is approved can't be rejected, as its
// correction may be under way.
func Reject(ctx context.Context, store *annals.Store, reason string, ids ...string) error {
	if reason = strings.TrimSpace(reason); reason == "" {
		return annals.Invalid("reason", "must say why, for those who come later")
	}
	return decideOn(ctx, store, ids, DifferencesRejected, reason, func(f *Finding) error {
		switch f.State {
		case Open, Uncorrected:
			return nil
		}
		return f.settled("reject")
	})
}

// settled is why nothing can be decided about f any more.
func (f *Finding) settled(verb string) error {
	e := &annals.Error{Code: annals.CodeConflict, Message: fmt.Sprintf("%s is %s already: nothing to %s", f.ID, f.State, verb)}
	switch f.State {
	case Approved:
		e.Hint = "its correction is sent once a process runs " + f.Handler
	case Superseded:
		e.Hint = "the code of " + f.Handler + " has changed again; annals effect diff " + f.Handler + " shows what differs by it"
	}
	return e
}

// decideOn appends a decision about findings, for each handler together, after all
// of them were checked.
func decideOn(ctx context.Context, store *annals.Store, ids []string, typ, reason string, check func(*Finding) error) error {
	if len(ids) == 0 {
		return annals.Invalid("ids", "must not be empty: nothing to do")
	}
	handlers, versions, err := byHandler(ids)
	if err != nil {
		return err
	}
	books := map[string]*book{}
	for _, handler := range handlers {
		b, err := readBook(ctx, store, handler)
		if err == nil {
			err = b.checkAll(versions[handler], check)
		}
		if err != nil {
			return err
		}
		books[handler] = b
	}
	for _, handler := range handlers {
		b, of := books[handler], versions[handler]
		decide := func() (lines []line, err error) {
			const most = 10_000 // in an event
			for part := range slices.Chunk(of, most) {
				lines = append(lines, line{hashed(typ, b.version, len(lines)), typ, "", note{Reason: reason, Of: part}})
			}
			return lines, b.checkAll(of, check)
		}
		if err := b.write(ctx, store, decide); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) checkAll(versions []int64, check func(*Finding) error) error {
	for _, version := range versions {
		f := b.byID[version]
		if f == nil {
			return &annals.Error{Code: annals.CodeNotFound, Message: "there is no difference " + b.id(version), Hint: "annals effect diff lists those that there are"}
		}
		if err := check(f); err != nil {
			return err
		}
	}
	return nil
}

// A KnownHandler is a handler that may make outside calls.
type KnownHandler struct {
	Name string `json:"name"`
	// Began is the position behind which its calls are live.
	Began int64 `json:"began,string"`
	// Repair is the last one that was asked for; nil for none.
	Repair *RepairRun `json:"repair,omitempty"`
	// Open counts the findings that nobody has decided about.
	Open int `json:"open"`
}

// Handlers yields the handlers that a store knows, in the order in which they
// began. On a store that numbers its log later a new one is missing for a moment.
func Handlers(ctx context.Context, store *annals.Store) iter.Seq2[KnownHandler, error] {
	return func(yield func(KnownHandler, error) bool) {
		query := annals.Query{Types: []string{EffectsBegan}, Prefix: HandlerStream("")}
		for e, err := range store.Log(ctx, query) {
			if err != nil {
				yield(KnownHandler{}, err)
				return
			}
			name := strings.TrimPrefix(e.Stream, query.Prefix)
			if e.Version != 1 || strings.Contains(name, "/") {
				continue
			}
			known, err := knownAs(ctx, store, name)
			var r beganRecord
			if err == nil {
				err = decode(e.Data, &r)
			}
			known.Began = r.Position
			if !yield(known, err) || err != nil {
				return
			}
		}
	}
}

func knownAs(ctx context.Context, store *annals.Store, name string) (KnownHandler, error) {
	known := KnownHandler{Name: name}
	b, err := readBook(ctx, store, name)
	if err != nil {
		return known, err
	}
	if n := len(b.repairs); n > 0 {
		known.Repair = b.repairs[n-1]
	}
	for _, f := range b.findings {
		if f.State == Open {
			known.Open++
		}
	}
	return known, nil
}
