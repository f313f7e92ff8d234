package fold

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/eb901187/annals/yamlfile"
)

// A reader takes a file's YAML apart and gathers what is wrong with it.
type reader struct {
	file     string
	problems []yamlfile.Problem
}

func (r *reader) wrong(line int, hint, format string, args ...any) {
	r.problems = append(r.problems, yamlfile.At(line, hint, format, args...))
}

// root reads the one document of a file; nil if it can't be read. The hints are
// for a file without one and with several.
func (r *reader) root(text []byte, none, several string) *yaml.Node {
	root, err := yamlfile.Document(text)
	var no *yamlfile.DocumentError
	if !errors.As(err, &no) {
		return root
	}
	hint := "mend the YAML; quote texts that hold : or #, or begin with { [ & * ! | > % @"
	switch no.Err {
	case yamlfile.ErrEmpty:
		hint = none
	case yamlfile.ErrSeveral:
		hint = several
	}
	r.wrong(no.Line, hint, "%v", no.Err)
	return nil
}

// kindOf names what n is in words.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "a text"
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return "a boolean"
	case "!!timestamp":
		return "a date"
	}
	return "of the type " + n.ShortTag()
}

// A member is one key of a map with its value, which is resolved.
type member struct {
	name  string
	line  int
	value *yaml.Node
}

// members takes a map apart. It refuses what is none, and keys that stand twice.
func (r *reader) members(n *yaml.Node, what, hint string) []member {
	if n.Kind != yaml.MappingNode {
		r.wrong(n.Line, hint, "%s must be a map, it is %s", what, kindOf(n))
		return nil
	}
	var list []member
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := yamlfile.Resolved(n.Content[i])
		name, ok := r.text(key, "a key of "+what, "put it in quotes")
		if !ok {
			continue
		}
		line := n.Content[i].Line
		if before, twice := first[name]; twice {
			r.wrong(line, "leave one of them", "key %q stands here and in line %d", name, before)
			continue
		}
		first[name] = line
		list = append(list, member{name, line, yamlfile.Resolved(n.Content[i+1])})
	}
	return list
}

func (r *reader) unknown(m member, of string, known ...string) {
	r.wrong(m.line, didYouMean(m.name, known, "known are "+strings.Join(known, ", ")), "unknown key %q%s", m.name, of)
}

// text is the value of a node that must be a text.
func (r *reader) text(n *yaml.Node, what, hint string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.wrong(n.Line, hint, "%s must be a text, it is %s", what, kindOf(n))
		return "", false
	}
	return n.Value, true
}

// A listed is one text of a list.
type listed struct {
	text string
	line int
}

func (r *reader) list(n *yaml.Node, what string) []listed {
	if n.Kind != yaml.SequenceNode {
		r.wrong(n.Line, "write it as [one, another]", "%s must be a list, it is %s", what, kindOf(n))
		return nil
	}
	if len(n.Content) == 0 {
		r.wrong(n.Line, "name one, or leave the key out", "%s is an empty list", what)
	}
	var list []listed
	first := map[string]int{}
	for _, element := range n.Content {
		text, ok := r.text(yamlfile.Resolved(element), "an element of "+what, "put it in quotes")
		if !ok {
			continue
		}
		if before, twice := first[text]; twice {
			r.wrong(element.Line, "leave one of them", "%q stands in %s here and in line %d", text, what, before)
			continue
		}
		first[text] = element.Line
		list = append(list, listed{text, element.Line})
	}
	return list
}

// expression compiles the jq that n holds; nil if that is not possible. dot is
// what . is in it.
func (r *reader) expression(n *yaml.Node, what string, asKey bool, l limits, more ...string) *program {
	src, ok := r.text(n, what, "put the jq in quotes")
	if !ok {
		return nil
	}
	p, complaints := compile(what, src, asKey, l, more...)
	for _, c := range complaints {
		line, where := position(n, src, c)
		r.wrong(line, c.hint, "%s %s%s", what, c.message, where)
	}
	if p != nil {
		p.file, p.line = r.file, firstLine(n)
	}
	return p
}

// firstLine is the line of the file in which the text of n begins.
func firstLine(n *yaml.Node) int {
	if n.Style&yaml.LiteralStyle != 0 {
		return n.Line + 1
	}
	return n.Line
}

// position is the line of the file in which a complaint about the jq of n stands,
// and the place within it in words.
func position(n *yaml.Node, src string, c complaint) (line int, where string) {
	at := c.offset
	if c.word != "" {
		at = locate(src, c.word)
	}
	if at < 0 || at > len(src) {
		return firstLine(n), ""
	}
	before := src[:at]
	lines := strings.Count(before, "\n")
	character := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	if n.Style&yaml.LiteralStyle != 0 || lines == 0 {
		return firstLine(n) + lines, fmt.Sprintf(", at character %d", character)
	}
	return n.Line, fmt.Sprintf(", at character %d of its line %d", character, lines+1)
}
