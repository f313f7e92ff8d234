package console

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/reversal"
)

var reversalScreens = []screen{
	{path: "reversal", template: "reversal.html", nav: "Reversal", key: "r", read: (*console).reversal},
}

var reversalActions = []action{
	{path: "reversal", what: "reversal.apply", role: access.Operate, target: func(r *http.Request) string { return r.PostFormValue("name") }, typed: true, do: (*console).reverse},
}

const (
	// plansShown is how many streams of a plan are shown with their states.
	plansShown = 20
	// restShown is how many more are named.
	restShown = 500
)

type reversalData struct {
	Form    reversalForm
	Problem *httpapi.Problem // what is wrong with the form; nil for nothing
	Plan    *planData        // nil in the first step
}

// Status is that of what is wrong with the form.
func (d reversalData) Status() int { return formStatus(d.Problem) }

// planData is a plan as it is shown.
type planData struct {
	ID, Digest, Name string // Name is what has to be typed
	Streams          []streamPlanData
	Rest             []reversal.StreamPlan // further streams, without their states
	Unnamed          int                   // and so many more
	Passed           []reversal.Passed
	MorePassed       int
	CLI              string
}

type streamPlanData struct {
	reversal.StreamPlan
	Path, StatePath string
	Appends         []appendData
	Diff            []diffLine // of the states; nil where they are equal
	Was, Becomes    string
}

// appendData is an event that is going to be appended.
type appendData struct {
	Version        int64
	Type, Reverses string
	Data           string
}

// reversal shows the form, and, once it names events, what reversing them would do.
func (c *console) reversal(r *http.Request) (string, any, error) {
	const title = "Reversal"
	d := reversalData{Form: reversalFormOf(r.URL.Query())}
	if d.Form.empty() {
		return title, d, nil
	}
	target, err := d.Form.target()
	var plan *reversal.Plan
	if err == nil {
		id := d.Form.ID
		if id == "" {
			id = rand.Text()
		}
		plan, err = reversal.NewPlan(r.Context(), c.store, target, &reversal.Options{ID: id})
	}
	if err != nil {
		d.Problem, err = mistake(err)
		return title, d, err
	}
	d.Plan = planDataOf(plan)
	d.Plan.CLI = c.cli(append(d.Form.args(), "--dry-run")...)
	return title, d, nil
}

func planDataOf(plan *reversal.Plan) *planData {
	const passedShown = 20
	d := &planData{ID: plan.ID, Digest: plan.Digest(), Name: planName(plan)}
	for i := range plan.Streams {
		switch s := &plan.Streams[i]; {
		case i < plansShown:
			d.Streams = append(d.Streams, streamPlanDataOf(s))
		case i < plansShown+restShown:
			d.Rest = append(d.Rest, *s)
		default:
			d.Unnamed++
		}
	}
	d.Passed = plan.Passed[:min(len(plan.Passed), passedShown)]
	d.MorePassed = len(plan.Passed) - len(d.Passed)
	return d
}

// planName is what is typed to confirm a plan.
func planName(plan *reversal.Plan) string {
	if len(plan.Streams) == 1 {
		return plan.Streams[0].Stream
	}
	return fmt.Sprintf("%d streams", len(plan.Streams))
}

func streamPlanDataOf(s *reversal.StreamPlan) streamPlanData {
	d := streamPlanData{
		StreamPlan: *s, Path: streamPath(s.Stream), StatePath: statePath(s.Stream, 0),
		Was: shortJSON(s.Before), Becomes: shortJSON(s.After), Diff: diffJSON(s.Before, s.After),
	}
	for i := range s.Events {
		e := &s.Events[i]
		a := appendData{Version: s.Version + 1 + int64(i), Type: e.Type, Reverses: e.Attributes[reversal.AttributeReverses]}
		if len(e.Data) > 0 {
			a.Data = shortJSON(e.Data)
		}
		d.Appends = append(d.Appends, a)
	}
	return d
}

// reverse plans again under the id of the plan that was shown, and applies that only
// if it is the same.
func (c *console) reverse(r *http.Request) (done, next string, err error) {
	form := reversalFormOf(r.PostForm)
	target, err := form.target()
	if err != nil {
		return "", "", err
	}
	if form.ID == "" || r.PostFormValue("reason") == "" {
		return "", "", annals.Invalid("reason", "must say why, for those who come later")
	}
	plan, err := reversal.NewPlan(r.Context(), c.store, target, &reversal.Options{ID: form.ID, Reason: r.PostFormValue("reason")})
	if err != nil {
		return "", "", err
	}
	if len(plan.Streams) == 0 {
		if at := c.reversedBy(r, plan); at != "" {
			return "the reversal " + plan.ID + " was applied before", at, nil
		}
	}
	if r.PostFormValue("digest") != plan.Digest() || r.PostFormValue("name") != planName(plan) {
		return "", "", &annals.Error{
			Code: annals.CodeConflict, Message: "the streams have changed since the plan was shown, and nothing was appended",
			Hint: "go back, plan again, and look at the new plan before you confirm it",
		}
	}
	commits, err := reversal.Apply(r.Context(), c.store, plan)
	if err != nil {
		return "", "", brokenOff(err, plan, len(commits))
	}
	text := fmt.Sprintf("%s reversed: version %d is new. The reversal %s can be reversed too", planName(plan), commits[0].Version, plan.ID)
	return text, eventPath(commits[0].Stream, commits[0].Version), nil
}

// brokenOff tells how to go on from here.
func brokenOff(err error, plan *reversal.Plan, done int) error {
	hint := "plan again, and look at the new plan before you confirm it"
	if done > 0 {
		hint = "plan the same again with the id " + plan.ID + ", which goes on with what is left"
	}
	var own *annals.Error
	if !errors.As(err, &own) {
		return err
	}
	told := *own
	told.Hint = hint
	return &told
}

// reversedBy is the page of the event by which this very reversal was applied before,
// as by a form that is sent twice; empty for none.
func (c *console) reversedBy(r *http.Request, plan *reversal.Plan) string {
	const recent = 100 // events of the stream, so that a guess stays cheap
	i := slices.IndexFunc(plan.Passed, func(p reversal.Passed) bool { return p.Stream != "" })
	if i < 0 {
		return ""
	}
	stream := plan.Passed[i].Stream
	for e, err := range c.store.Stream(r.Context(), stream, &annals.StreamOptions{Backward: true, Limit: recent}) {
		if err != nil {
			return ""
		}
		if e.Attributes[reversal.AttributeReversal] == plan.ID {
			return eventPath(stream, e.Version)
		}
	}
	return ""
}
