package reversal

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
)

// A draft is the plan for one stream as it comes to be.
type draft struct {
	*planner
	h      *history
	ways   map[int64]Way // of what is reversed, by version
	before map[int64]any // the states before what is reversed, by version
	now    any           // the state as it is
	state  any           // the state after events
	events []annals.Event
}

func (d *draft) foldErr(err error) error {
	return &annals.Error{
		Code: annals.CodeOf(err), Message: "the state of " + d.h.stream + " can't be folded", Err: err,
		Hint: "mend the fold, or give another one",
	}
}

// fold makes the present state and those before the targets.
func (d *draft) fold(targets []int64) (err error) {
	d.before = map[int64]any{}
	for i := range d.h.events {
		e := &d.h.events[i]
		if _, wanted := slices.BinarySearch(targets, e.Version); wanted {
			d.ways[e.Version] = Replay // until another way applies
			d.before[e.Version] = d.now
		}
		if d.now, err = d.planner.fold.step(d.now, e); err != nil {
			return d.foldErr(err)
		}
	}
	d.state = d.now
	return nil
}

// declared adds the inverses that are declared, newest first.
func (d *draft) declared(ctx context.Context, targets []int64) error {
	for _, v := range slices.Backward(targets) {
		e := d.h.at(v)
		if d.h.technical(v) {
			continue
		}
		inverses, has, err := d.inverse(ctx, e, d.before[v])
		if err != nil {
			return err
		}
		if !has {
			continue
		}
		d.ways[v] = Declared
		if len(inverses) == 0 {
			inverses = []annals.Event{{Type: EventReversed}}
		}
		for _, inverse := range inverses {
			d.add(inverse, e, nameOf(d.h.stream, v), Declared)
		}
	}
	var err error
	if d.state, err = d.planner.fold.over(d.now, d.timed(d.events)); err != nil {
		return d.foldErr(err)
	}
	return nil
}

// timed are planned events with a time for the fold: that of the stream's last
// event, as the store stamps them only when they are appended.
func (d *draft) timed(events []annals.Event) []annals.Event {
	all := slices.Clone(events)
	for i := range all {
		if all[i].Time.IsZero() {
			all[i].Time = d.h.at(d.h.version()).Time
		}
	}
	return all
}

// add completes an event that reverses e and others.
func (d *draft) add(event annals.Event, e *annals.Event, reverses string, way Way) {
	d.events = append(d.events, d.completed(event, e, reverses, way, len(d.events)))
}

func (d *draft) completed(event annals.Event, e *annals.Event, reverses string, way Way, i int) annals.Event {
	event.ID = derive(d.opts.ID, d.h.stream, i)
	event.Stream, event.Version, event.Position = d.h.stream, d.h.version()+int64(i)+1, 0
	if event.Source == "" {
		event.Source = e.Source
	}
	if event.Correlation == "" {
		event.Correlation = e.Correlation
	}
	if event.ContentType == "" {
		event.ContentType = annals.JSONContentType
	}
	event.Causation = d.h.name(e.Version)
	attributes := map[string]string{AttributeReverses: reverses, AttributeReversal: d.opts.ID, AttributeWay: string(way)}
	if d.opts.Reason != "" {
		attributes[AttributeReason] = d.opts.Reason
	}
	event.Attributes = maps.Clone(event.Attributes)
	if event.Attributes == nil {
		event.Attributes = map[string]string{}
	}
	maps.Copy(event.Attributes, attributes)
	if about := d.subject(e, way); about != "" && event.Attributes[annals.SubjectAttribute] == "" {
		event.Attributes[annals.SubjectAttribute] = about
	}
	return event
}

// subject is the data subject of what reverses e: that of e where that was declared; that
// of the whole stream where it was made of its state, of which a part may be anybody's.
func (d *draft) subject(e *annals.Event, way Way) string {
	if way == Declared || e.Subject() != "" {
		return e.Subject()
	}
	all := d.h.subjects()
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// rest adds what reverses the events without a declared inverse: the first of the
// candidates that makes the state that the fold has without them.
func (d *draft) rest() error {
	undeclared := maps.Clone(d.ways)
	maps.DeleteFunc(undeclared, func(_ int64, way Way) bool { return way == Declared })
	if len(undeclared) == 0 {
		return nil
	}
	if err := d.foldable(undeclared); err != nil {
		return err
	}
	if all := d.h.subjects(); len(all) > 1 {
		return &annals.Error{
			Code: annals.CodeInvalid, Message: "the events of " + d.h.stream + " name several data subjects, so that its state can't be stored as that of one",
			Hint: "declare inverses for the types of what is to be reversed",
		}
	}
	wanted, err := d.planner.fold.over(nil, append(d.h.remaining(d.ways), d.timed(d.events)...))
	if err != nil {
		return d.foldErr(err)
	}
	goal, err := documentOf(wanted)
	if err != nil {
		return d.foldErr(err)
	}
	present, err := documentOf(d.state)
	if err != nil {
		return d.foldErr(err)
	}
	var last error
	for _, c := range d.candidates(undeclared, present, goal) {
		fits, err := d.try(c, undeclared, goal)
		if err != nil {
			last = err
		}
		if fits {
			return nil
		}
	}
	return &annals.Error{
		Code: annals.CodeInvalid, Message: "no event gives the fold of " + d.h.stream + " the state that it has without what is to be reversed", Err: last,
		Hint: "have the fold take " + StateRestored + " as it comes, or declare inverses",
	}
}

// foldable refuses events that the latest state passes over because their data is
// not JSON: what they did shows elsewhere, if anywhere.
func (d *draft) foldable(undeclared map[int64]Way) error {
	if d.opts.Fold != nil {
		return nil
	}
	for _, v := range inOrder(undeclared) {
		if e := d.h.at(v); len(e.Data) > 0 && !e.IsJSON() {
			return &annals.Error{
				Code: annals.CodeInvalid, Message: fmt.Sprintf("%s holds %s, which a merge patch can't undo", d.h.name(v), e.ContentType),
				Hint: "declare an inverse for the type " + e.Type + ", or give the fold that makes the state",
			}
		}
	}
	return nil
}

// A candidate is an event that may make the state that is wanted.
type candidate struct {
	eventType string
	data      []byte
	way       Way
}

// candidates are what to try, in this order.
func (d *draft) candidates(undeclared map[int64]Way, present, goal document) []candidate {
	if present.equal(goal) {
		way := Replay
		if len(undeclared) == 1 && d.opts.Fold == nil {
			way = MergePatch
		}
		return append([]candidate{{EventReversed, nil, way}}, d.restoring(goal)...)
	}
	var all []candidate
	if patch, ok := d.inversePatch(undeclared); ok {
		all = appendPatch(all, patch, MergePatch)
	}
	if patch, ok := difference(present.value, goal.value); ok {
		all = appendPatch(all, patch, Replay)
	}
	return append(all, d.restoring(goal)...)
}

func appendPatch(all []candidate, patch any, way Way) []candidate {
	if _, object := patch.(map[string]any); !object {
		return all // it can't be merged into a state
	}
	data, err := fold.Encode(patch)
	if err != nil {
		return all // a state holds what a patch can't: it is restored whole
	}
	return append(all, candidate{EventReversed, data, way})
}

// restoring are the candidates that give the whole state: the latest one, or that
// of this fold.
func (d *draft) restoring(goal document) (all []candidate) {
	names := []string{""}
	if d.planner.fold.Name != "" {
		names = append(names, d.planner.fold.Name)
	}
	for _, name := range names {
		if data, err := fold.RestoredData(name, goal.value); err == nil {
			all = append(all, candidate{StateRestored, data, Replay})
		}
	}
	return all
}

// inversePatch is what takes the patch of a single event back; false if there is
// more to it than that. Reversals that came before are left out of the history, but
// where one of them is to be reversed.
func (d *draft) inversePatch(undeclared map[int64]Way) (any, bool) {
	if len(d.ways) != 1 || len(undeclared) != 1 {
		return nil, false
	}
	version := inOrder(undeclared)[0]
	events := d.h.events
	if !d.h.technical(version) {
		events = d.h.remaining(nil)
	}
	i := slices.IndexFunc(events, func(e annals.Event) bool { return e.Version == version })
	if i < 0 {
		return nil, false // marks that no plan has made
	}
	before, err := d.planner.fold.over(nil, events[:i])
	if err != nil {
		return nil, false
	}
	was, err := documentOf(before)
	if err != nil {
		return nil, false
	}
	patch := patchOf(&events[i])
	if patch == nil {
		return nil, false
	}
	var later []any
	for _, e := range events[i+1:] {
		if e.Type == StateRestored {
			return nil, false
		}
		if p := patchOf(&e); p != nil {
			later = append(later, p)
		}
	}
	return undo(was.value, patch, later)
}

// patchOf is the merge patch that e holds; nil for none.
func patchOf(e *annals.Event) any {
	if len(e.Data) == 0 || !e.IsJSON() || e.Type == StateRestored {
		return nil
	}
	data, err := fold.Decode(e.Data)
	if err != nil {
		return nil // no store lets it in
	}
	if _, object := data.(map[string]any); !object {
		return nil
	}
	return data
}

// try adds the events of c if they make the state that is wanted.
func (d *draft) try(c candidate, undeclared map[int64]Way, goal document) (fits bool, err error) {
	versions := inOrder(undeclared)
	newest := d.h.at(versions[len(versions)-1])
	var added []annals.Event
	for _, reverses := range lists(d.h.stream, versions) {
		event := annals.Event{Type: c.eventType, Data: c.data}
		added = append(added, d.completed(event, newest, reverses, c.way, len(d.events)+len(added)))
	}
	state, err := d.planner.fold.over(d.state, d.timed(added))
	if err != nil {
		return false, err
	}
	after, err := documentOf(state)
	if err != nil || !after.equal(goal) {
		return false, err
	}
	for _, v := range versions {
		d.ways[v] = c.way
	}
	d.events, d.state = append(d.events, added...), state
	return true, nil
}

// result is the draft as a part of the plan.
func (d *draft) result() (StreamPlan, error) {
	before, err := documentOf(d.now)
	if err != nil {
		return StreamPlan{}, d.foldErr(err)
	}
	after, err := documentOf(d.state)
	if err != nil {
		return StreamPlan{}, d.foldErr(err)
	}
	s := StreamPlan{Stream: d.h.stream, Version: d.h.version(), Before: before.text, After: after.text, Events: d.events}
	for _, v := range inOrder(d.ways) {
		e := d.h.at(v)
		s.Reversed = append(s.Reversed, Reversed{v, e.ID, e.Type, d.ways[v]})
	}
	return s, nil
}
