package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
)

// Playbacks is the answer to what playbacks there are.
type Playbacks struct {
	Playbacks []playback.Playback `json:"playbacks"`
}

// A PlaybackRequest is the body that starts a playback. A target of kind stream,
// projection or kinesis is named; none is Options.PlaybackTo.
type PlaybackRequest struct {
	ID        string               `json:"id,omitempty"` // random if empty
	Selection playback.Selection   `json:"selection"`
	Target    playback.Destination `json:"target,omitzero"`
	Rate      float64              `json:"rate,omitempty"` // events a second; 0 is no limit
}

// A PlaybackRunner works on playbacks that requests start, stop and resume, behind their
// answers. *playback.Runner does so in the background of a process.
type PlaybackRunner interface {
	Start(ctx context.Context, selection playback.Selection, target playback.Target, id string, rate float64) (playback.Playback, error)
	Resume(ctx context.Context, id string, target playback.Target) (playback.Playback, error)
	Stop(ctx context.Context, id, reason string) (playback.Playback, error)
}

const maxPlaybackBytes = 1 << 20

func (s *server) startPlayback(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	dry := a.flag("dryRun")
	if err := a.err(); err != nil {
		return err
	}
	asked, err := s.playbackRequest(w, r)
	if err != nil {
		return err
	}
	if dry {
		counts, err := playback.Count(r.Context(), s.store, asked.Selection)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, mediaJSON, counts)
		return nil
	}
	if asked.Target == (playback.Destination{}) {
		asked.Target = s.opts.PlaybackTo
	}
	target, err := s.playbackTarget(asked.Target)
	if err != nil {
		return err
	}
	p, err := s.opts.Playbacks.Start(r.Context(), asked.Selection, target, asked.ID, asked.Rate)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/playbacks/"+p.ID)
	writeJSON(w, http.StatusCreated, mediaJSON, p)
	return nil
}

func (s *server) playbackRequest(w http.ResponseWriter, r *request) (asked PlaybackRequest, err error) {
	if _, err := r.media(); err != nil {
		return asked, err
	}
	text, err := s.read(w, r, maxPlaybackBytes)
	if err != nil {
		return asked, err
	}
	if err := annals.CheckJSON(text); err != nil {
		return asked, err
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&asked); err != nil && strings.Contains(err.Error(), ",string") {
		return asked, annals.Invalid("selection", `has a number as from or to: positions are strings, such as "7"`)
	} else if err != nil {
		return asked, annals.Invalid("body", "is no request for a playback: %s", err)
	}
	return asked, nil
}

// A PlaybackTargets makes the targets that a server can send to by itself; files and
// other stores are for whoever may write them.
type PlaybackTargets struct {
	Projections *projection.Set // as in Options
	// Further is Options.PlaybackTarget.
	Further func(playback.Destination) (playback.Target, error)
}

// Target makes one; nil for a playback with subscribers only.
func (t PlaybackTargets) Target(to playback.Destination) (playback.Target, error) {
	switch to.Kind {
	case "":
		if to.Name != "" {
			return nil, annals.Invalid("target", "has a name and no kind: stream, projection or kinesis")
		}
		return nil, nil
	case playback.KindStream:
		return playback.ToStream(to.Name), nil
	case playback.KindProjection:
		if t.Projections == nil {
			return nil, noProjections()
		}
		return IntoProjection(t.Projections, to.Name), nil
	case playback.KindKinesis:
		if t.Further == nil {
			return nil, annals.Invalid("target", "this server does not send to Kinesis: annals playback start --to-kinesis with the store's own address does it from there")
		}
		return t.Further(to)
	case playback.KindFile, playback.KindStore:
		return nil, annals.Invalid("target", "a server writes no %s for its clients: annals playback --store with its address does it from there", to.Kind)
	}
	return nil, annals.Invalid("target", "has the unknown kind %.40q: it must be stream, projection or kinesis", to.Kind)
}

// NoPlaybacks is the error of a server that runs none.
func NoPlaybacks() error {
	return &annals.Error{
		Code: annals.CodeNotFound, Message: "this server runs no playbacks",
		Hint: "GET /v1/playbacks/{id}/events reads one that was started elsewhere",
	}
}

func (s *server) playbackTarget(to playback.Destination) (playback.Target, error) {
	if s.opts.Playbacks == nil {
		return nil, NoPlaybacks()
	}
	return PlaybackTargets{s.opts.Projections, s.opts.PlaybackTarget}.Target(to)
}

func (s *server) listPlaybacks(w http.ResponseWriter, r *request) error {
	all, err := playback.List(r.Context(), s.store, s.playbackOptions())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, Playbacks{all})
	return nil
}

func (s *server) playbackOptions() *playback.Options {
	return &playback.Options{Clock: s.opts.Clock}
}

func (s *server) showPlayback(w http.ResponseWriter, r *request) error {
	p, err := playback.Show(r.Context(), s.store, r.vars[0], s.playbackOptions())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, p)
	return nil
}

func (s *server) stopPlayback(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	reason := a.text("reason")
	if err := a.err(); err != nil {
		return err
	}
	stop := func(ctx context.Context, id, reason string) (playback.Playback, error) {
		return playback.Stop(ctx, s.store, id, reason, s.playbackOptions())
	}
	if s.opts.Playbacks != nil {
		stop = s.opts.Playbacks.Stop
	}
	p, err := stop(r.Context(), r.vars[0], reason)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, p)
	return nil
}

func (s *server) resumePlayback(w http.ResponseWriter, r *request) error {
	p, err := playback.Show(r.Context(), s.store, r.vars[0], s.playbackOptions())
	if err != nil {
		return err
	}
	target, err := s.playbackTarget(p.Target)
	if err != nil {
		return err
	}
	if p, err = s.opts.Playbacks.Resume(r.Context(), p.ID, target); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, p)
	return nil
}

// playbackEvents gives a subscriber a playback from its start, or behind what it has
// seen. One that could not be finished is cut off.
func (s *server) playbackEvents(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	after, exact := a.number("after"), a.flag("exact")
	if last, ok := a.resume(); ok {
		after = max(after, last)
	}
	if err := a.err(); err != nil {
		return err
	}
	media, err := accepted(r.Header, []string{mediaNDJSON, mediaSSE})
	if err != nil {
		return err
	}
	p, err := playback.Show(r.Context(), s.store, r.vars[0], s.playbackOptions())
	if err != nil {
		return err
	}
	ctx, cancel := s.untilEnding(r)
	defer cancel()
	out := s.newEventWriter(w, media, exact)
	out.id = func(e *annals.Event) int64 { return e.Position }
	if r.Method == http.MethodHead {
		out.begin() // which is all of the answer
		return out.flush()
	}
	write := out.all
	if p.Rate > 0 { // each as it comes
		write = func(events iter.Seq2[annals.Event, error]) error { return out.follow(ctx, events) }
	}
	events := playback.Subscribe(ctx, s.store, p.ID, after, s.playbackOptions())
	err = write(events)
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone, or the server ends: cut off
	}
	if err != nil {
		return err
	}
	out.begin()
	if media == mediaSSE {
		end, err := json.Marshal(playbackEnd{p.ID, p.End})
		if err != nil {
			return err
		}
		out.buf = fmt.Appendf(out.buf, "id: %d\nevent: end\ndata: %s\n\n", p.End, end)
	}
	return out.end()
}

// A playbackEnd is the data of the server-sent event that says that a subscriber has
// everything.
type playbackEnd struct {
	Playback string `json:"playback"`
	Position int64  `json:"position,string"`
}
