package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/playback"
)

var playbackScreens = []screen{
	{path: "playbacks", template: "playbacks.html", nav: "Playbacks", key: "b", read: (*console).playbacks, live: true},
	{path: "playbacks/{id}", template: "playback.html", read: (*console).playback, live: true},
	{path: "playbacks/new/selection", template: "start_playback.html", read: (*console).startPlaybackForm},
	{path: "forks", template: "forks.html", read: (*console).forks},
}

var playbackActions = []action{
	{path: "playbacks/new/selection", what: "playback.start", role: access.Operate, target: func(r *http.Request) string { return r.PostFormValue("id") }, do: (*console).startPlayback},
	{path: "playbacks/{id}/stop", what: "playback.stop", role: access.Operate, target: pathID, do: (*console).stopPlayback},
	{path: "playbacks/{id}/resume", what: "playback.resume", role: access.Operate, target: pathID, do: (*console).resumePlayback},
}

func pathID(r *http.Request) string { return r.PathValue("id") }

// playbacksPerPage is how many playbacks a page lists.
const playbacksPerPage = 20

func (c *console) playbackOptions() *playback.Options { return &playback.Options{Clock: c.opts.Clock} }

type playbacksData struct {
	Playbacks     []playbackRow
	Older, Newest string // addresses of pages; empty for none
	CanStart      bool
	CLI           string
}

// A playbackRow is a playback and how fast it comes forward.
type playbackRow struct {
	playback.Playback
	Pace playback.Pace
	Path string
}

// Steps is how many positions the playback goes over in all, and Done how many of
// them it is past.
func (p playbackRow) Steps() int64 { return max(1, p.End-p.start()) }

// Done is as Steps says.
func (p playbackRow) Done() int64 {
	if p.State == playback.StateFinished {
		return p.Steps()
	}
	return min(p.Steps(), max(0, p.Position-p.start()))
}

func (p playbackRow) start() int64 { return max(0, p.Selection.From-1) }

// Percent is the share of Steps that is done, without a fraction.
func (p playbackRow) Percent() int64 { return p.Done() * 100 / p.Steps() }

// Speed is the events a second, rounded; empty where that is not known.
func (p playbackRow) Speed() string {
	if p.Pace.Events <= 0 {
		return ""
	}
	return strconv.FormatFloat(p.Pace.Events, 'f', 1, 64)
}

// Left is how long it will take, rounded to seconds; empty where that is not known.
func (p playbackRow) Left() string {
	if p.Pace.Left <= 0 {
		return ""
	}
	return p.Pace.Left.Round(time.Second).String()
}

func (c *console) playbackRow(r *http.Request, p playback.Playback) (playbackRow, error) {
	pace, err := playback.ReadPace(r.Context(), c.store, &p)
	return playbackRow{Playback: p, Pace: pace, Path: playbackPath(p.ID)}, err
}

func playbackPath(id string) string { return Path + "playbacks/" + url.PathEscape(id) }

func (c *console) playbacks(r *http.Request) (string, any, error) {
	const title = "Playbacks"
	q := r.URL.Query()
	until, err := positionParam(q, "until")
	if err != nil {
		return title, nil, err
	}
	page, older, err := playback.Recent(r.Context(), c.store, until, playbacksPerPage, c.playbackOptions())
	if err != nil {
		return title, nil, err
	}
	d := playbacksData{CanStart: c.opts.Playbacks != nil, CLI: c.cli("playback", "list")}
	for _, p := range page {
		row, err := c.playbackRow(r, p)
		if err != nil {
			return title, nil, err
		}
		d.Playbacks = append(d.Playbacks, row)
	}
	d.Older, d.Newest = olderPath("playbacks", q, older, until)
	return title, d, nil
}

type playbackData struct {
	playbackRow
	Selected             []header // what is selected, in words
	CanRun               bool     // this server runs playbacks
	CanStop, CanResume   bool
	Record               string // the stream that records it
	CLI, Curl, ResumeCLI string
}

func (c *console) playback(r *http.Request) (string, any, error) {
	id := r.PathValue("id")
	title := "Playback " + id
	p, err := playback.Show(r.Context(), c.store, id, c.playbackOptions())
	if err != nil {
		return title, nil, err
	}
	d := playbackData{Selected: selected(&p.Selection), CanRun: c.opts.Playbacks != nil}
	if d.playbackRow, err = c.playbackRow(r, p); err != nil {
		return title, nil, err
	}
	d.CanStop = p.State == playback.StateRunning || p.State == playback.StateInterrupted
	d.CanResume = p.State != playback.StateFinished && p.State != playback.StateRunning &&
		p.Target.Kind != playback.KindFile && p.Target.Kind != playback.KindStore
	d.Record = streamPath(playback.RecordPrefix + id)
	d.CLI, d.ResumeCLI = c.cli("playback", "show", id), c.cli("playback", "resume", id)
	d.Curl = c.curl("GET", "/v1/playbacks/"+url.PathEscape(id)+"/events", "-N", "-H", "Accept: text/event-stream")
	return title, d, nil
}

// selected is what a selection says, by name.
func selected(s *playback.Selection) (all []header) {
	for _, c := range s.Criteria() {
		name := strings.ToUpper(c.Name[:1]) + c.Name[1:]
		if c.Name == "from" || c.Name == "to" {
			name += " position"
		}
		all = append(all, header{name, strings.Join(c.Values, ", ")})
	}
	return all
}

func (c *console) stopPlayback(r *http.Request) (done, next string, err error) {
	id := r.PathValue("id")
	if reason := strings.TrimSpace(r.PostFormValue("reason")); c.opts.Playbacks != nil {
		_, err = c.opts.Playbacks.Stop(r.Context(), id, reason)
	} else {
		_, err = playback.Stop(r.Context(), c.store, id, reason, c.playbackOptions())
	}
	return "playback " + id + " is stopped", playbackPath(id), err
}

func (c *console) resumePlayback(r *http.Request) (done, next string, err error) {
	id := r.PathValue("id")
	if c.opts.Playbacks == nil {
		return "", "", noPlaybacks()
	}
	p, err := playback.Show(r.Context(), c.store, id, c.playbackOptions())
	if err != nil {
		return "", "", err
	}
	target, err := c.playbackTargets().Target(p.Target)
	if err != nil {
		return "", "", err
	}
	_, err = c.opts.Playbacks.Resume(r.Context(), id, target)
	return "playback " + id + " goes on", playbackPath(id), err
}

// noPlaybacks is the error of a server that runs none.
func noPlaybacks() error {
	return &annals.Error{
		Code: annals.CodeNotFound, Message: "this server runs no playbacks",
		Hint: "annals playback start and resume run them elsewhere",
	}
}

// forksSought is how many playbacks are looked at for those to other stores.
const forksSought = 200

type forksData struct {
	Fork   *playback.Manifest // nil where this store is none
	Stores []playbackRow      // playbacks to other stores
	More   bool               // older playbacks were not looked at
	CLI    string
}

func (c *console) forks(r *http.Request) (string, any, error) {
	const title = "Forks"
	d := forksData{CLI: c.cli("fork", "--to", "./fork")}
	m, err := playback.ReadManifest(r.Context(), c.store)
	switch {
	case err == nil:
		d.Fork = &m
	case !errors.Is(err, annals.ErrNotFound):
		return title, nil, err
	}
	page, older, err := playback.Recent(r.Context(), c.store, 0, forksSought, c.playbackOptions())
	if err != nil {
		return title, nil, err
	}
	for _, p := range page {
		if p.Target.Kind == playback.KindStore {
			d.Stores = append(d.Stores, playbackRow{Playback: p, Path: playbackPath(p.ID)})
		}
	}
	d.More = older > 0
	return title, d, nil
}
