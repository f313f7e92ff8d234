package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// A schema is a Schema made ready for use.
type schema[E any] struct {
	codec    Codec
	variants []*Variant[E]
	names    map[string]*history[E] // by every name that was ever stored
	formerly map[string][]string    // by the name of today
	ignored  map[string]bool
	steps    int // that an event can take at most on its way to today
}

// A history is how the events of one name became what they are.
type history[E any] struct {
	name    string
	today   *Variant[E] // nil for a name that a Split ends
	current int         // version of today, or that of the last Split
	steps   []*Upcaster // steps[v-1] leads on from version v
}

// problems gathers what is wrong with a Type.
type problems []annals.Violation

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, annals.Violation{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &annals.InvalidError{Violations: p}
}

func compile[E any](s Schema[E], bad *problems) *schema[E] {
	c := &schema[E]{
		codec: s.Codec, names: map[string]*history[E]{}, formerly: map[string][]string{},
		ignored: map[string]bool{}, steps: len(s.Upcasters),
	}
	if c.codec == nil {
		c.codec = JSON{}
	}
	if len(s.Events) == 0 {
		bad.add("events", "must not be empty")
	}
	for i := range s.Events {
		c.addEvent(&s.Events[i], fmt.Sprintf("events[%d]", i), bad)
	}
	c.addUpcasters(s.Upcasters, bad)
	c.addRenamed(s.Renamed, bad)
	for i, name := range s.Ignored {
		if c.names[name] != nil {
			bad.add(fmt.Sprintf("ignored[%d]", i), "is %q, which the schema reads", name)
		}
		c.ignored[name] = true
	}
	return c
}

func (c *schema[E]) addEvent(v *Variant[E], field string, bad *problems) {
	if v.problem != "" {
		bad.add(field, "(%s) %s", v.name, v.problem)
	}
	if problem := badEventName(v.name); problem != "" {
		bad.add(field, "has the name %q: it %s", v.name, problem)
	}
	if v.version < 1 {
		bad.add(field, "(%s) has version %d: versions count from 1", v.name, v.version)
	}
	if c.names[v.name] != nil {
		bad.add(field, "has the name %q, as another event has", v.name)
		return
	}
	for _, other := range c.variants {
		// Cases may share a Go type: their functions tell them apart.
		if v.byType && other.byType && v.goType == other.goType {
			bad.add(field, "(%s) is declared for %s, as %s is: one of them could never be stored", v.name, v.goType, other.name)
		}
	}
	c.variants = append(c.variants, v)
	c.names[v.name] = &history[E]{name: v.name, today: v, current: v.version}
}

func (c *schema[E]) addUpcasters(all []Upcaster, bad *problems) {
	byName := map[string]map[int]*Upcaster{}
	for i := range all {
		u, field := &all[i], fmt.Sprintf("upcasters[%d]", i)
		switch {
		case u.lift == nil && u.part == nil:
			bad.add(field, "(%s, version %d) has no function", u.name, u.from)
		case u.from < 1:
			bad.add(field, "(%s) is from version %d: versions count from 1", u.name, u.from)
		case byName[u.name][u.from] != nil:
			bad.add(field, "is the second from version %d of %q", u.from, u.name)
		default:
			if byName[u.name] == nil {
				byName[u.name] = map[int]*Upcaster{}
			}
			byName[u.name][u.from] = u
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if c.names[name] == nil {
			c.addEnded(name, byName[name], bad)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		c.addSteps(c.names[name], byName[name], bad)
	}
}

// addEnded adds a name that has upcasters and no event any more: a Split must
// be its end.
func (c *schema[E]) addEnded(name string, steps map[int]*Upcaster, bad *problems) {
	last := slices.Max(slices.Collect(maps.Keys(steps)))
	if steps[last].part == nil {
		bad.add("upcasters", "lead to version %d of %q, which is no event of the schema", last+1, name)
		return
	}
	if problem := badEventName(name); problem != "" {
		bad.add("upcasters", "name %q: it %s", name, problem)
	}
	c.names[name] = &history[E]{name: name, current: last}
}

// addSteps puts the upcasters of a name in order and sees that they lead from
// version 1 to the current one.
func (c *schema[E]) addSteps(h *history[E], steps map[int]*Upcaster, bad *problems) {
	last := h.current
	if h.today != nil {
		last--
	}
	for from := 1; from <= last; from++ {
		if steps[from] == nil {
			bad.add("upcasters", "have a gap: none leads on from version %d of %q, which is at version %d", from, h.name, h.current)
		}
		h.steps = append(h.steps, steps[from])
	}
	for _, from := range slices.Sorted(maps.Keys(steps)) {
		if from > last {
			bad.add("upcasters", "name version %d of %q, which is at version %d", from, h.name, h.current)
		}
	}
}

func (c *schema[E]) addRenamed(renamed map[string]string, bad *problems) {
	targets := map[string]*history[E]{}
	for _, old := range slices.Sorted(maps.Keys(renamed)) {
		name := renamed[old]
		field := fmt.Sprintf("renamed[%q]", old)
		switch {
		case c.names[old] != nil:
			bad.add(field, "is an event of the schema, or one that it splits")
		case c.names[name] == nil:
			bad.add(field, "leads to %q, which is no event of the schema", name)
		case badEventName(old) != "":
			bad.add(field, "%s", badEventName(old))
		default:
			targets[old] = c.names[name]
			c.formerly[name] = append(c.formerly[name], old)
		}
	}
	maps.Copy(c.names, targets)
}

// badEventName says what is wrong with the name of an event, "" for nothing.
func badEventName(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case len(name) > annals.MaxTypeBytes:
		return fmt.Sprintf("must have at most %d bytes", annals.MaxTypeBytes)
	case strings.HasPrefix(name, annals.OwnPrefix):
		return "must not start with " + annals.OwnPrefix
	case strings.ContainsFunc(name, func(r rune) bool { return !isLetterOrDigit(r) && !strings.ContainsRune("-_.:/@+", r) }):
		return "must hold ASCII letters, digits and - _ . : / @ + only"
	}
	return ""
}

func isLetterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
