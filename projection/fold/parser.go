package fold

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/eb901187/annals"
)

// everyOther is the type in a fold that stands for those that it does not name.
const everyOther = "*"

const mergePatch = "merge-patch"

// A parser turns YAML into a definition.
type parser struct {
	reader
	limits limits
	name   string
	rules  Rules

	typesGiven bool           // the query names types
	foldLines  map[string]int // where fold and delete name a type
}

var topKeys = []string{"name", "query", "key", "fold", "delete"}

func (p *parser) definition(root *yaml.Node) {
	p.foldLines = map[string]int{}
	hasName, hasFold := false, false
	for _, m := range p.members(root, "a projection", "give at least fold; the documentation has an example") {
		switch m.name {
		case "name":
			hasName = true
			if name, ok := p.text(m.value, "name", "put it in quotes"); ok {
				p.setName(name, m.line, "take 1 to 60 of a-z, 0-9, - and _")
			}
		case "query":
			p.query(m.value)
		case "key":
			p.key(m.value)
		case "fold":
			hasFold = true
			p.fold(m.value)
		case "delete":
			p.remove(m.value)
		default:
			p.unknown(m, "", topKeys...)
		}
	}
	if !hasName {
		p.setName(strings.TrimSuffix(filepath.Base(p.file), filepath.Ext(p.file)), 1, "name the file so, or write name: with 1 to 60 of a-z, 0-9, - and _")
	}
	if !hasFold && root.Kind == yaml.MappingNode {
		p.wrong(root.Line, "write fold: merge-patch, or a map from event type to jq", "fold is missing")
	}
	p.types()
	p.addRestored()
	p.rules.name = p.name
	p.rules.own = strings.HasPrefix(p.rules.query.Prefix, annals.OwnPrefix)
	if len(p.problems) == 0 {
		p.tryFolds()
	}
}

func (p *parser) setName(name string, line int, hint string) {
	bad := func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_') }
	if name == "" || len(name) > maxNameBytes || strings.ContainsFunc(name, bad) {
		p.wrong(line, hint, "%q can't be the name of a projection", name)
	}
	p.name = name
}

var queryKeys = []string{"types", "sources", "correlation", "prefix"}

func (p *parser) query(n *yaml.Node) {
	q := &p.rules.query
	for _, m := range p.members(n, "query", "write query: {types: [order-placed]}") {
		switch m.name {
		case "types":
			p.typesGiven = true
			q.Types = p.names(m, func(name string) annals.Query { return annals.Query{Types: []string{name}} })
		case "sources":
			q.Sources = p.names(m, func(name string) annals.Query { return annals.Query{Sources: []string{name}} })
		case "correlation":
			q.Correlation = p.queryText(m, func(text string) annals.Query { return annals.Query{Correlation: text} })
		case "prefix":
			q.Prefix = p.queryText(m, func(text string) annals.Query { return annals.Query{Prefix: text} })
		default:
			p.unknown(m, " of query", queryKeys...)
		}
	}
}

// names reads the list of m, each of which must fit into a query by itself.
func (p *parser) names(m member, query func(string) annals.Query) (names []string) {
	list := p.list(m.value, m.name)
	for _, one := range list {
		if broken := violation(query(one.text)); broken != "" {
			p.wrong(one.line, "take a name that events have", "%q in %s %s", one.text, m.name, broken)
		}
		names = append(names, one.text)
	}
	if len(list) > annals.MaxQueryNames {
		p.wrong(m.line, "leave the key out to read all", "%s names %d, the limit is %d", m.name, len(list), annals.MaxQueryNames)
	}
	return names
}

func (p *parser) queryText(m member, query func(string) annals.Query) string {
	text, ok := p.text(m.value, m.name, "put it in quotes")
	if !ok {
		return ""
	}
	if text == "" {
		p.wrong(m.line, "leave the key out to read all", "%s is empty", m.name)
	} else if broken := violation(query(text)); broken != "" {
		p.wrong(m.line, "take one that events have", "%s %q %s", m.name, text, broken)
	}
	return text
}

func (p *parser) key(n *yaml.Node) {
	if p.rules.key = p.expression(n, "key", true, p.limits); p.rules.key != nil && p.rules.key.text == ".stream" {
		p.rules.key = nil
	}
}

func (p *parser) fold(n *yaml.Node) {
	const hint = "write fold: merge-patch, or a map from event type to jq"
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		if p.rules.merge = n.Value == mergePatch; !p.rules.merge {
			p.wrong(n.Line, hint, "fold must be %s or a map, not the text %.60q", mergePatch, n.Value)
		}
		return
	}
	before := len(p.problems)
	members := p.members(n, "fold", hint)
	if len(members) == 0 && len(p.problems) == before {
		p.wrong(n.Line, hint, "fold is an empty map")
	}
	p.rules.folds = map[string]*program{}
	for _, m := range members {
		if m.name == everyOther {
			p.rules.others = p.expression(m.value, "fold of *", false, p.limits)
		} else if p.eventType(m.name, m.line) {
			p.rules.folds[m.name] = p.expression(m.value, "fold of "+m.name, false, p.limits)
		}
	}
}

// eventType notes that fold or delete names a type, in which line, and reports
// whether events can have it.
func (p *parser) eventType(name string, line int) bool {
	if broken := violation(annals.Query{Types: []string{name}}); broken != "" {
		p.wrong(line, "take a type that events have", "event type %q %s", name, broken)
		return false
	}
	if before, twice := p.foldLines[name]; twice {
		p.wrong(line, "leave one of them", "event type %q stands in fold and in delete: here and in line %d", name, before)
		return true
	}
	p.foldLines[name] = line
	return true
}

func (p *parser) remove(n *yaml.Node) {
	p.rules.remove = map[string]bool{}
	for _, one := range p.list(n, "delete") {
		p.eventType(one.text, one.line)
		p.rules.remove[one.text] = true
	}
}

// types completes the query's types by those of fold and delete, or checks that
// it has them.
func (p *parser) types() {
	q := &p.rules.query
	named := slices.Sorted(maps.Keys(p.foldLines))
	if p.typesGiven && len(q.Types) == 0 {
		return // what is wrong with them has been said
	}
	if p.typesGiven {
		for _, name := range named {
			if !slices.Contains(q.Types, name) {
				p.wrong(p.foldLines[name], didYouMean(name, q.Types, "add it to types, or leave types out"),
					"event type %q is not among the types of query: it would never be read", name)
			}
		}
		return
	}
	if p.rules.merge || p.rules.others != nil || len(named) > annals.MaxQueryNames {
		return // every type is read, and those without a fold change nothing
	}
	q.Types = named
}

// addRestored has documents of streams read the events that restore a state. A
// query that names as many types as it may has no room for it.
func (p *parser) addRestored() {
	q := &p.rules.query
	if p.rules.key == nil && len(q.Types) > 0 && len(q.Types) < annals.MaxQueryNames && !slices.Contains(q.Types, StateRestored) {
		q.Types, p.rules.added = append(slices.Clone(q.Types), StateRestored), true
	}
}

// tryFolds runs each fold on no document and on an empty one, by an event with
// empty data, and refuses what could never be a document. An error of the fold
// proves nothing: it may need more than that.
func (p *parser) tryFolds() {
	for _, eventType := range slices.Sorted(maps.Keys(p.rules.folds)) {
		p.tryFold(p.rules.folds[eventType], eventType)
	}
	if p.rules.others != nil {
		p.tryFold(p.rules.others, "any-other")
	}
	if p.rules.key != nil {
		p.tryKey()
	}
}

func (p *parser) tryFold(fold *program, eventType string) {
	e := sample(eventType)
	input, err := fold.fields.value(&e)
	if err != nil {
		p.wrong(fold.line, "", "%s can't be tried: %v", fold.what, err)
		return
	}
	for _, doc := range []any{nil, map[string]any{}} {
		_, _, t := fold.fold(doc, &e, input)
		if t == nil || t.kind == failed {
			continue
		}
		tried := "null"
		if doc != nil {
			tried = "{}"
		}
		p.wrong(fold.line, t.hint, "%s %s, tried on the document %s and data {}", fold.what, t.happened, tried)
		return
	}
}

// tryKey refuses a key that loops, or gives what is no string; null may just mean
// that the event lacks what the key reads.
func (p *parser) tryKey() {
	key := p.rules.key
	e := sample("any")
	event, err := key.fields.value(&e)
	if err != nil {
		p.wrong(key.line, "", "%s can't be tried: %v", key.what, err)
		return
	}
	_, t := key.keys(&e, event)
	if t != nil && (t.kind == endless || t.kind == wrongOutput && t.output != nil) {
		p.wrong(key.line, t.hint, "%s %s, tried on an event with data {}", key.what, t.happened)
	}
}

// sample is the least that an event can be.
func sample(eventType string) annals.Event {
	return annals.Event{
		ID: "id", Type: eventType, Source: "source", Time: time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC),
		ContentType: annals.JSONContentType, Data: []byte("{}"), Stream: "stream", Version: 1, Position: 1,
	}
}
