package fold

import (
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

const hintPure = "a fold may depend on the document and the event only, so that a rebuild makes the same: take it from one of them"

// refused are the functions and variables that would make a fold depend on more
// than the document and the event, or that act beyond it, with what to do instead.
var refused = map[string]string{
	"input": hintPure, "inputs": hintPure, "input_filename": hintPure, "input_line_number": hintPure,
	"env": hintPure, "$ENV": hintPure, "get_search_list": hintPure, "modulemeta": hintPure,
	"builtins":      "they change with the version of jq: leave it out",
	"localtime":     "it depends on the time zone of the machine: use gmtime",
	"strflocaltime": "it depends on the time zone of the machine: use strftime, which is in UTC",
	"debug":         "a fold has nowhere to write to: leave it out",
	"stderr":        "a fold has nowhere to write to: leave it out",
	"halt":          "use empty to leave the document as it is, or error to park the event",
	"halt_error":    "use error to park the event",
}

// variables of ours, in a space of names that no fold may use.
const (
	eventVariable  = "$event"
	ownVariables   = "$__"
	nowVariable    = "$__now"
	factorVariable = "$__factor"
)

// A complaint is what is wrong with an expression, and where: at word, or else at
// offset, which is -1 for nowhere.
type complaint struct {
	word          string
	offset        int
	message, hint string
}

// A syntaxCheck walks an expression: it finds what is refused and which fields of
// the event are used, and puts guards around what could take too much memory.
type syntaxCheck struct {
	complaints []complaint
	fields     fields   // of $event
	now        bool     // whether it asks for the time
	path       []string // of names, if a key is just that
}

// A scope lists the functions that an expression defines around a place.
type scope struct {
	outer *scope
	name  string
	arity int
}

func (s *scope) defines(f *gojq.Func) bool {
	for ; s != nil; s = s.outer {
		if s.name == f.Name && s.arity == len(f.Args) {
			return true
		}
	}
	return false
}

func (c *syntaxCheck) refuse(word, message, hint string) {
	c.complaints = append(c.complaints, complaint{word: word, message: message, hint: hint})
}

func (c *syntaxCheck) query(q *gojq.Query, s *scope) {
	if q == nil {
		return
	}
	if q.Meta != nil || len(q.Imports) > 0 {
		word := "module"
		if len(q.Imports) > 0 {
			if word = "import"; q.Imports[0].ImportPath == "" {
				word = "include"
			}
		}
		c.refuse(word, "uses "+word, "a fold stands alone: write the functions that it needs into it with def")
	}
	for _, def := range q.FuncDefs {
		s = &scope{s, def.Name, len(def.Args)}
		inner := s
		for _, arg := range def.Args {
			c.binds(arg)
			inner = &scope{inner, strings.TrimPrefix(arg, "$"), 0}
		}
		c.query(def.Body, inner)
	}
	c.term(q.Term, s)
	c.query(q.Left, s)
	c.patterns(q.Patterns, s)
	c.query(q.Right, s)
	guardMultiplication(q)
}

func (c *syntaxCheck) term(t *gojq.Term, s *scope) {
	if t == nil {
		return
	}
	suffixes := t.SuffixList
	switch {
	case t.Func != nil:
		c.function(t, s)
	case t.Index != nil:
		c.index(t.Index, s)
	case t.Object != nil:
		c.object(t.Object, s)
	case t.Array != nil:
		c.query(t.Array.Query, s)
		guardArray(t.Array)
	case t.Unary != nil:
		c.term(t.Unary.Term, s)
	case t.Query != nil:
		c.query(t.Query, s)
	}
	c.str(t.Str, s)
	c.control(t, s)
	for _, suffix := range suffixes {
		c.index(suffix.Index, s)
	}
}

func (c *syntaxCheck) control(t *gojq.Term, s *scope) {
	switch {
	case t.If != nil:
		c.query(t.If.Cond, s)
		c.query(t.If.Then, s)
		for _, elif := range t.If.Elif {
			c.query(elif.Cond, s)
			c.query(elif.Then, s)
		}
		c.query(t.If.Else, s)
	case t.Try != nil:
		c.query(t.Try.Body, s)
		c.query(t.Try.Catch, s)
	case t.Reduce != nil:
		c.query(t.Reduce.Query, s)
		c.patterns(t.Reduce.Patterns, s)
		c.query(t.Reduce.Start, s)
		c.query(t.Reduce.Update, s)
	case t.Foreach != nil:
		c.query(t.Foreach.Query, s)
		c.patterns(t.Foreach.Patterns, s)
		c.query(t.Foreach.Start, s)
		c.query(t.Foreach.Update, s)
		c.query(t.Foreach.Extract, s)
	case t.Label != nil:
		c.query(t.Label.Body, s)
	}
}

func (c *syntaxCheck) function(t *gojq.Term, s *scope) {
	f := t.Func
	for _, arg := range f.Args {
		c.query(arg, s)
	}
	if f.Name == eventVariable {
		c.eventField(t.SuffixList)
	}
	if strings.HasPrefix(f.Name, ownVariables) {
		c.refuse(f.Name, "uses the variable "+f.Name, "names that start with $__ are taken: use another")
	}
	if s.defines(f) {
		return
	}
	if hint, ok := refused[f.Name]; ok {
		c.refuse(f.Name, "uses "+f.Name, hint)
	}
	if f.Name == "now" && len(f.Args) == 0 {
		c.now, f.Name = true, nowVariable
	}
	guardArguments(f)
}

// eventField notes which field of $event the suffixes behind it begin with.
func (c *syntaxCheck) eventField(suffixes []*gojq.Suffix) {
	if len(suffixes) == 0 || suffixes[0].Index == nil || suffixes[0].Index.Name == "" {
		c.fields.all = true
		return
	}
	c.knownField("$event", suffixes[0].Index.Name)
}

func (c *syntaxCheck) knownField(of, name string) {
	if !slices.Contains(eventFields, name) {
		c.refuse(of+"."+name, "uses "+of+"."+name+", which an event has not got", didYouMean(name, eventFields, "an event has "+strings.Join(eventFields, ", ")))
		return
	}
	c.fields.add(name)
}

// keyFields finds the fields of the event that the key q uses, where . is the
// event too, and notes the path if q is no more than one.
func (c *syntaxCheck) keyFields(q *gojq.Query) {
	if q.Term == nil || q.Term.Type != gojq.TermTypeIndex || len(q.FuncDefs) > 0 {
		c.fields.all = true
		return
	}
	path := []string{q.Term.Index.Name}
	for _, suffix := range q.Term.SuffixList {
		if suffix.Index == nil {
			path = append(path, "")
			continue
		}
		path = append(path, suffix.Index.Name)
	}
	if slices.Contains(path, "") {
		c.fields.all = true
		return
	}
	c.path = path
	c.knownField("", path[0])
}

func (c *syntaxCheck) object(o *gojq.Object, s *scope) {
	for _, member := range o.KeyVals {
		if strings.HasPrefix(member.Key, "$") {
			c.term(&gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: member.Key}}, s)
		}
		c.str(member.KeyString, s)
		c.query(member.KeyQuery, s)
		c.query(member.Val, s)
	}
	guardObject(o)
}

func (c *syntaxCheck) index(i *gojq.Index, s *scope) {
	if i == nil {
		return
	}
	c.str(i.Str, s)
	c.query(i.Start, s)
	c.query(i.End, s)
	guardIndex(i)
}

func (c *syntaxCheck) str(text *gojq.String, s *scope) {
	if text == nil {
		return
	}
	for _, q := range text.Queries {
		c.query(q, s)
	}
}

func (c *syntaxCheck) patterns(patterns []*gojq.Pattern, s *scope) {
	for _, p := range patterns {
		c.binds(p.Name)
		c.patterns(p.Array, s)
		for _, member := range p.Object {
			c.binds(member.Key)
			c.str(member.KeyString, s)
			c.query(member.KeyQuery, s)
			if member.Val != nil {
				c.patterns([]*gojq.Pattern{member.Val}, s)
			}
		}
	}
}

// binds refuses to let an expression give a variable of ours another value.
func (c *syntaxCheck) binds(name string) {
	if name == eventVariable || strings.HasPrefix(name, ownVariables) {
		c.refuse(name, "gives "+name+" another value", "use another name")
	}
}
