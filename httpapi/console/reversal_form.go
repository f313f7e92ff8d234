package console

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/reversal"
)

// A reversalForm is what the first step of the wizard says, field by field, as the
// address and the form of the last step have it.
type reversalForm struct {
	Stream, Version, Event, Reversal    string
	Types, Sources, Correlation, Prefix string
	Since, Before, After, Until         string
	ID                                  string // of a reversal to go on with; empty for a new one
}

func reversalFormOf(v url.Values) reversalForm {
	get := func(name string) string { return strings.TrimSpace(v.Get(name)) }
	return reversalForm{
		Stream: get("stream"), Version: get("version"), Event: get("event"), Reversal: get("reversal"),
		Types: get("types"), Sources: get("sources"), Correlation: get("correlation"), Prefix: get("prefix"),
		Since: get("since"), Before: get("before"), After: get("after"), Until: get("until"), ID: get("id"),
	}
}

// A formField is a field with its name.
type formField struct{ Name, Value string }

// Query are the fields that choose events of the log.
func (f reversalForm) Query() []formField {
	return []formField{
		{"types", f.Types}, {"sources", f.Sources}, {"correlation", f.Correlation}, {"prefix", f.Prefix},
		{"since", f.Since}, {"before", f.Before}, {"after", f.After}, {"until", f.Until},
	}
}

// Fields are all that name events, for the last step.
func (f reversalForm) Fields() []formField {
	return append([]formField{{"stream", f.Stream}, {"version", f.Version}, {"event", f.Event}, {"reversal", f.Reversal}}, f.Query()...)
}

func anyGiven(fields []formField) bool {
	for _, field := range fields {
		if field.Value != "" {
			return true
		}
	}
	return false
}

func (f reversalForm) empty() bool { return !anyGiven(f.Fields()) }

// ByQuery reports whether the form chooses events of the log.
func (f reversalForm) ByQuery() bool { return anyGiven(f.Query()) }

// target is what the form names. That it names one thing is for reversal.NewPlan to
// check.
func (f reversalForm) target() (t reversal.Target, err error) {
	t = reversal.Target{Stream: f.Stream, EventID: f.Event, Reversal: f.Reversal}
	if f.Version != "" {
		if t.Version, err = strconv.ParseInt(f.Version, 10, 64); err != nil || t.Version < 1 {
			return t, annals.Invalid("version", "must be a number from 1, and not %.40q", f.Version)
		}
	}
	if !f.ByQuery() {
		return t, nil
	}
	q := annals.Query{Types: listed(f.Types), Sources: listed(f.Sources), Correlation: f.Correlation, Prefix: f.Prefix}
	positions := url.Values{"after": {f.After}, "until": {f.Until}}
	var errs [4]error
	q.Since, errs[0] = timeField("since", f.Since)
	q.Before, errs[1] = timeField("before", f.Before)
	q.After, errs[2] = positionParam(positions, "after")
	q.Until, errs[3] = positionParam(positions, "until")
	t.Query = &q
	return t, firstError(errs[:])
}

// args are those of the command line that does the same.
func (f reversalForm) args() []string {
	args := []string{"reverse"}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	if f.Stream != "" {
		args = append(args, f.Stream)
	}
	if f.Version != "" {
		args = append(args, f.Version)
	}
	add("--event", f.Event)
	add("--reversal", f.Reversal)
	if f.ByQuery() {
		args = append(args, "--query")
	}
	for _, field := range f.Query() {
		add("--"+field.Name, field.Value)
	}
	add("--id", f.ID)
	return args
}
