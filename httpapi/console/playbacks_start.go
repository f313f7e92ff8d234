package console

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
)

// A playbackForm is what the form says, field by field, in both of its steps.
type playbackForm struct {
	Streams, Types, Sources, Correlation, Since, Until, From, To string
	Kind, Name, Rate                                             string
}

// playbackFormOf reads the fields of the form.
func playbackFormOf(v url.Values) playbackForm {
	get := func(name string) string { return strings.TrimSpace(v.Get(name)) }
	return playbackForm{
		Streams: get("streams"), Types: get("types"), Sources: get("sources"), Correlation: get("correlation"),
		Since: get("since"), Until: get("until"), From: get("from"), To: get("to"),
		Kind: get("kind"), Name: get("name"), Rate: get("rate"),
	}
}

// request is what the form asks for.
func (f *playbackForm) request() (asked httpapi.PlaybackRequest, err error) {
	v := url.Values{"from": {f.From}, "to": {f.To}}
	s := playback.Selection{Streams: listed(f.Streams), Types: listed(f.Types), Sources: listed(f.Sources), Correlation: f.Correlation}
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	s.Since, err = timeField("since", f.Since)
	note(err)
	s.Until, err = timeField("until", f.Until)
	note(err)
	s.From, err = positionParam(v, "from")
	note(err)
	s.To, err = positionParam(v, "to")
	note(err)
	if f.Rate != "" {
		if asked.Rate, err = strconv.ParseFloat(f.Rate, 64); err != nil || asked.Rate < 0 {
			note(annals.Invalid("rate", "must be a number of events a second, and not %.40q", f.Rate))
		}
	}
	asked.Selection, asked.Target = s, playback.Destination{Kind: playback.Kind(f.Kind), Name: f.Name}
	if f.Kind == "" && f.Name != "" {
		note(annals.Invalid("name", "belongs to a target: choose one, or leave the name out"))
	}
	if f.Kind != "" && f.Name == "" {
		note(annals.Invalid("name", "must say to which %s the events are sent", f.Kind))
	}
	if err := firstError(errs); err != nil {
		return asked, err
	}
	return asked, s.Check()
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// listed are the names of a list with commas between them.
func listed(text string) (names []string) {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// timeField is the time of a field; zero where it is empty.
func timeField(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, annals.Invalid(name, "must be an RFC 3339 time such as 2020-05-01T20:00:00Z, and not %.40q", text)
	}
	return t, nil
}

type startPlaybackData struct {
	Form        playbackForm
	Projections []string
	Problem     *httpapi.Problem // what is wrong with the form; nil for nothing
	Counts      *playback.Counts // what would be sent; nil in the first step
	Types       []typeCount
	Target      playback.Destination
	ID          string // of the playback that the second step starts
	CLI         string
}

// Status is that of what is wrong with the form.
func (d startPlaybackData) Status() int { return formStatus(d.Problem) }

func formStatus(p *httpapi.Problem) int {
	if p != nil {
		return p.Status
	}
	return http.StatusOK
}

type typeCount struct {
	Type   string
	Events int64
}

// startPlaybackForm shows the form, and, once it was sent, what would be sent.
func (c *console) startPlaybackForm(r *http.Request) (string, any, error) {
	const title = "Start a playback"
	if c.opts.Playbacks == nil {
		return title, nil, noPlaybacks()
	}
	q := r.URL.Query()
	d := startPlaybackData{Form: playbackFormOf(q)}
	if c.opts.Projections != nil {
		all, err := c.opts.Projections.List(r.Context())
		if err != nil {
			return title, nil, err
		}
		for i := range all {
			d.Projections = append(d.Projections, all[i].Name)
		}
	}
	if q.Get("count") == "" {
		return title, d, nil
	}
	asked, err := d.Form.request()
	if err == nil {
		_, err = c.playbackTargets().Target(asked.Target)
	}
	if err == nil {
		err = playback.CheckStart(r.Context(), c.store, asked.Selection, &playback.Options{Rate: asked.Rate})
	}
	var counts playback.Counts
	if err == nil {
		counts, err = playback.Count(r.Context(), c.store, asked.Selection)
	}
	if err != nil {
		d.Problem, err = mistake(err)
		return title, d, err
	}
	// What was counted is what is sent, also if the log grows meanwhile.
	d.Form.To = strconv.FormatInt(counts.End, 10)
	d.Counts, d.Target, d.ID = &counts, asked.Target, rand.Text()
	for _, t := range slices.Sorted(maps.Keys(counts.Types)) {
		d.Types = append(d.Types, typeCount{t, counts.Types[t]})
	}
	d.CLI = c.cli(startArgs(&d.Form)...)
	return title, d, nil
}

// mistake is err as a form shows it, where whoever fills it in can mend that; else it
// returns err.
func mistake(err error) (*httpapi.Problem, error) {
	if !errors.Is(err, annals.ErrInvalid) && !errors.Is(err, annals.ErrNotFound) && !errors.Is(err, annals.ErrTooLarge) {
		return nil, err
	}
	p := httpapi.NewProblem(err)
	return &p, nil
}

func startArgs(f *playbackForm) []string {
	args := []string{"playback", "start"}
	target := map[playback.Kind]string{playback.KindStream: "--to-stream", playback.KindProjection: "--projection", playback.KindKinesis: "--to-kinesis"}[playback.Kind(f.Kind)]
	for _, flag := range []struct{ name, value string }{
		{"--streams", f.Streams}, {"--types", f.Types}, {"--sources", f.Sources}, {"--correlation", f.Correlation},
		{"--since", f.Since}, {"--until", f.Until}, {"--from", f.From}, {"--to", f.To}, {"--rate", f.Rate}, {target, f.Name},
	} {
		if flag.name != "" && flag.value != "" {
			args = append(args, flag.name, flag.value)
		}
	}
	return args
}

func (c *console) playbackTargets() httpapi.PlaybackTargets {
	return httpapi.PlaybackTargets{Projections: c.opts.Projections, Further: c.opts.PlaybackTarget}
}

// startPlayback starts what was counted, under the id of that page: a form that is
// sent twice starts one playback.
func (c *console) startPlayback(r *http.Request) (done, next string, err error) {
	if c.opts.Playbacks == nil {
		return "", "", noPlaybacks()
	}
	form := playbackFormOf(r.PostForm)
	asked, err := form.request()
	if err != nil {
		return "", "", err
	}
	target, err := c.playbackTargets().Target(asked.Target)
	if err != nil {
		return "", "", err
	}
	id := r.PostFormValue("id")
	_, err = c.opts.Playbacks.Start(r.Context(), asked.Selection, target, id, asked.Rate)
	if errors.Is(err, annals.ErrConflict) && c.hasStarted(r, id, &asked) {
		return "playback " + id + " was started before", playbackPath(id), nil
	}
	return "playback " + id + " is started", playbackPath(id), err
}

// hasStarted reports whether a playback is the one that was asked for.
func (c *console) hasStarted(r *http.Request, id string, asked *httpapi.PlaybackRequest) bool {
	p, err := playback.Show(r.Context(), c.store, id, c.playbackOptions())
	if err != nil || p.Rate != asked.Rate {
		return false
	}
	// By their JSON, as the store has it.
	was, err := json.Marshal(p.Selection)
	if err != nil {
		return false
	}
	is, err := json.Marshal(asked.Selection)
	return err == nil && string(was) == string(is) && p.Target == asked.Target
}
