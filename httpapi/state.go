package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/projection/fold"
)

// State is what the events of a stream make, up to one of them.
type State struct {
	Stream  string    `json:"stream"`
	Version int64     `json:"version,string"` // of the last event read for it
	Time    time.Time `json:"time"`           // that event's
	// Position is that event's; left out of a store that numbers its log later.
	Position int64           `json:"position,string,omitempty"`
	State    json.RawMessage `json:"state"`
}

// StateOptions changes which state ReadState gives; nil means the present one,
// merged of the events' data.
type StateOptions struct {
	// AtVersion ends the reading at a version; 0 means the end.
	AtVersion int64
	// AtTime ends it before the first event that is later; zero means the end.
	AtTime time.Time
	// Rules fold the document that has the stream's name;
	// fold.MergePatchRules() by default.
	Rules *fold.Rules
}

// ReadState folds the events of one stream.
// Errors: annals.ErrNotFound where the stream, the version or the state does not
// exist.
func ReadState(ctx context.Context, store *annals.Store, stream string, opts *StateOptions) (State, error) {
	var o StateOptions
	if opts != nil {
		o = *opts
	}
	if o.AtVersion != 0 && !o.AtTime.IsZero() {
		return State{}, annals.Invalid("atTime", "can't be given with atVersion")
	}
	if o.Rules == nil {
		o.Rules = fold.MergePatchRules()
	}
	s := State{Stream: stream}
	var later *annals.Event
	events := func(yield func(annals.Event, error) bool) {
		for e, err := range store.Stream(ctx, stream, &annals.StreamOptions{To: o.AtVersion}) {
			if err == nil && !o.AtTime.IsZero() && e.Time.After(o.AtTime) {
				later = &e
				return
			}
			if !yield(e, err) {
				return
			}
			s.Position = e.Position
		}
	}
	doc, err := s.fold(events, o.Rules)
	switch {
	case err != nil:
		return s, err
	case s.Version == 0 && later != nil:
		return s, notYet(stream, later)
	case s.Version == 0:
		return s, noStream(stream)
	case s.Version < o.AtVersion:
		return s, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s is at version %d and has no version %d", stream, s.Version, o.AtVersion),
			Hint: "ask for a version up to that one",
		}
	case doc == nil:
		return s, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s has no state at version %d", stream, s.Version),
			Hint: "its events make no document, or delete it; annals read " + stream + " shows them",
		}
	}
	s.State, err = fold.Encode(doc)
	return s, err
}

// fold returns the document that events make, nil for none.
func (s *State) fold(events iter.Seq2[annals.Event, error], rules *fold.Rules) (doc any, err error) {
	doc, s.Version, s.Time, err = fold.State(events, rules, s.Stream)
	return doc, err
}

func notYet(stream string, first *annals.Event) error {
	return &annals.Error{
		Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s has no event by then: its first one is of %s", stream, first.Time.Format(time.RFC3339Nano)),
		Hint: "ask for that time or a later one",
	}
}

func noStream(stream string) error {
	return &annals.Error{Code: annals.CodeNotFound, Message: "there is no stream " + stream, Hint: "GET /v1/events lists events and their streams"}
}

func (s *server) state(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	opts := StateOptions{AtVersion: a.number("atVersion"), AtTime: a.time("atTime")}
	name := a.text("projection")
	if err := a.err(); err != nil {
		return err
	}
	var err error
	if name != "" {
		if opts.Rules, err = rulesOf(s.opts.Projections, name); err != nil {
			return err
		}
	}
	state, err := ReadState(r.Context(), s.store, r.vars[0], &opts)
	if err != nil {
		return err
	}
	tag := `"` + number(state.Version) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache")
	// The version says nothing about an erasure.
	if r.Header.Get("If-None-Match") == tag && !s.erasable() {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	writeJSON(w, http.StatusOK, mediaJSON, state)
	return nil
}

// rulesOf are those of a projection that is defined in a file.
func rulesOf(set *projection.Set, name string) (*fold.Rules, error) {
	if set == nil {
		return nil, noProjections()
	}
	return set.Rules(name)
}
