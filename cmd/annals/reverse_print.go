package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/reversal"
)

// reversed is what --json prints of a reversal: the plan as it was applied.
type reversed struct {
	reversal.Plan
	DryRun  bool             `json:"dryRun"`
	Commits []httpapi.Commit `json:"commits"`
}

func (r *reversed) add(streams []reversal.StreamPlan, commits []annals.Commit) {
	r.Streams = append(r.Streams, streams...)
	for _, c := range commits {
		r.Commits = append(r.Commits, httpapi.NewCommit(c))
	}
}

const mostPassed = 10

func (a *app) printReversed(r *reversed) error {
	if a.asJSON {
		r.Commits = append([]httpapi.Commit{}, r.Commits...)
		return a.printJSON(r)
	}
	var b strings.Builder
	for i := range r.Streams {
		writeStreamPlan(&b, &r.Streams[i])
		if i < len(r.Commits) {
			fmt.Fprintf(&b, "%s is at version %s\n", r.Commits[i].Stream, r.Commits[i].Version)
		}
	}
	for _, p := range r.Passed[:min(len(r.Passed), mostPassed)] {
		fmt.Fprintf(&b, "passed over %s@%d: %s\n", p.Stream, p.Version, p.Why)
	}
	if n := len(r.Passed) - mostPassed; n > 0 {
		fmt.Fprintf(&b, "… and %d more; --json shows all\n", n)
	}
	switch {
	case len(r.Streams) == 0:
		b.WriteString("nothing to do\n")
	case r.DryRun:
		b.WriteString("nothing was appended: this was a dry run\n")
	default:
		fmt.Fprintf(&b, "annals reverse --reversal %s takes it back\n", r.ID)
	}
	_, err := a.out.WriteString(b.String())
	return err
}

func writeStreamPlan(b *strings.Builder, s *reversal.StreamPlan) {
	for _, e := range s.Reversed {
		fmt.Fprintf(b, "reverses %s@%d %s id=%s, %s\n", s.Stream, e.Version, e.Type, e.ID, e.Way.Words())
	}
	if bytes.Equal(s.Before, s.After) {
		b.WriteString("the state stays as it is:\n")
	} else {
		b.WriteString("the state before (-) and after (+):\n")
	}
	writeDifference(b, s.Before, s.After)
	b.WriteString("appends:\n")
	for i := range s.Events {
		e := &s.Events[i]
		fmt.Fprintf(b, "  %s@%d %s %s reverses=%s\n", e.Stream, e.Version, e.Type, shortData(e), e.Attributes[reversal.AttributeReverses])
	}
}

// writeDifference writes two documents as one, with a sign before each line that
// only one of them has.
func writeDifference(b *strings.Builder, before, after json.RawMessage) {
	writeMember(b, "", 0, before, after)
}

func writeMember(b *strings.Builder, name string, depth int, before, after json.RawMessage) {
	old, oldObject := members(before)
	now, nowObject := members(after)
	switch {
	case oldObject && nowObject:
		writeLine(b, ' ', depth, name+"{")
		writeMembers(b, depth+1, old, now)
		writeLine(b, ' ', depth, "}")
	case bytes.Equal(before, after):
		writeLine(b, ' ', depth, name+string(before))
	default:
		writeSide(b, '-', name, depth, before)
		writeSide(b, '+', name, depth, after)
	}
}

func writeMembers(b *strings.Builder, depth int, old, now map[string]json.RawMessage) {
	all := maps.Clone(old)
	maps.Copy(all, now)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		writeMember(b, string(annals.AppendJSONString(nil, key))+": ", depth, old[key], now[key])
	}
}

// writeSide writes what one of the documents has alone; nothing if it has not.
func writeSide(b *strings.Builder, sign byte, name string, depth int, value json.RawMessage) {
	var lines bytes.Buffer
	if len(value) == 0 || depth == 0 && string(value) == "null" {
		return
	}
	if err := json.Indent(&lines, value, "", "  "); err != nil {
		lines.Write(value)
	}
	for i, line := range strings.Split(lines.String(), "\n") {
		if i == 0 {
			line = name + line
		}
		writeLine(b, sign, depth, line)
	}
}

func writeLine(b *strings.Builder, sign byte, depth int, line string) {
	fmt.Fprintf(b, "  %c %s%s\n", sign, strings.Repeat("  ", depth), line)
}

// members takes an object apart; false for any other value.
func members(value json.RawMessage) (map[string]json.RawMessage, bool) {
	if len(value) == 0 || value[0] != '{' {
		return nil, false
	}
	all := map[string]json.RawMessage{}
	for name, member := range annals.JSONMembers(value) {
		all[name] = member
	}
	return all, true
}
