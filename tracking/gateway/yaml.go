package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/eb901187/annals"
)

// A problem is what is wrong at a line of a file.
type problem struct {
	line    int
	message string
}

// problems of one file, as the cause of an error.
type problems struct {
	file string
	list []problem
}

func (p *problems) Error() string {
	var b strings.Builder
	for _, one := range p.list {
		fmt.Fprintf(&b, "\n  %s:%d: %s", p.file, one.line, one.message)
	}
	return b.String()
}

const problemsHint = "mend the file; docs/gateway.md lists the keys"

// problemsErr is the error of a file with problems: one stands in the message,
// several are listed by line below it.
func problemsErr(file string, list []problem) error {
	if len(list) == 1 {
		return &annals.Error{Code: annals.CodeInvalid, Message: fmt.Sprintf("%s:%d: %s", file, list[0].line, list[0].message), Hint: problemsHint}
	}
	slices.SortStableFunc(list, func(a, b problem) int { return a.line - b.line })
	return &annals.Error{
		Code: annals.CodeInvalid, Message: fmt.Sprintf("%s has %d problems", file, len(list)),
		Err: &problems{file, list}, Hint: problemsHint,
	}
}

// A reader takes a file's YAML apart and gathers what is wrong with it.
type reader struct {
	config   *Config
	problems []problem
}

func (r *reader) wrong(n *yaml.Node, format string, args ...any) {
	r.wrongAt(n.Line, format, args...)
}

func (r *reader) wrongAt(line int, format string, args ...any) {
	r.problems = append(r.problems, problem{max(line, 1), fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// root reads the one document of a file; nil if it can't be read.
func (r *reader) root(text []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, next yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		r.wrongAt(1, "the file is empty: it needs record, services and routes")
		return nil
	}
	if err == nil {
		switch err = decoder.Decode(&next); {
		case err == nil:
			r.wrong(&next, "a second document begins: put all into one")
			return nil
		case errors.Is(err, io.EOF):
			return document.Content[0]
		}
	}
	match := yamlLine.FindStringSubmatch(err.Error())
	line, message := 1, err.Error()
	if match != nil {
		line, _ = strconv.Atoi("0" + match[1])
		message = message[len(match[0]):]
	}
	r.wrongAt(line, "this is no YAML: %s", message)
	return nil
}

// resolved is the node that n stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.ShortTag() == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

// keys are what may stand in a map, and what is done with the value of each.
type keys map[string]func(*yaml.Node)

// object reads a map of known keys. where is its path in the file, for errors.
func (r *reader) object(n *yaml.Node, where string, known keys) {
	r.entries(n, where, func(key, value *yaml.Node) {
		read, ok := known[key.Value]
		if !ok {
			r.wrong(key, "unknown key %s: known are %s", dotted(where, key.Value), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			return
		}
		read(value)
	})
}

// entries reads a map whose keys are texts, each standing once.
func (r *reader) entries(n *yaml.Node, where string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, "%s must be a map, it is %s", where, kindOf(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolved(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			r.wrong(key, "a key of %s must be a text, it is %s", where, kindOf(key))
			continue
		}
		if line, twice := first[key.Value]; twice {
			r.wrong(n.Content[i], "%s stands here and in line %d", dotted(where, key.Value), line)
			continue
		}
		first[key.Value] = n.Content[i].Line
		each(key, resolved(n.Content[i+1]))
	}
}

func dotted(where, key string) string {
	if where == topmost {
		return key
	}
	return where + "." + key
}

// topmost is the path of the file's own map.
const topmost = "the file"

// texts reads a list of texts that are not empty; one text is a list of one.
func (r *reader) texts(n *yaml.Node, where string, each func(*yaml.Node, string)) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, element := range list {
		var s string
		if r.text(&s, where)(resolved(element)); s != "" {
			each(element, s)
		}
	}
}

// text reads one that is not empty.
func (r *reader) text(into *string, where string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || n.Value == "" {
			r.wrong(n, "%s must be a text, it is %s", where, kindOf(n))
			return
		}
		*into = n.Value
	}
}

func (r *reader) boolean(into *bool, where string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.ShortTag() != "!!bool" || n.Decode(into) != nil {
			r.wrong(n, "%s must be true or false, it is %s", where, kindOf(n))
		}
	}
}

func (r *reader) integer(into *int, where string, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || i < least || i > most {
			r.wrong(n, "%s must be a whole number from %d to %d, it is %s", where, least, most, kindOf(n))
			return
		}
		*into = i
	}
}

// longest is the longest time that a file may name.
const longest = 24 * time.Hour

// duration reads a time such as 250ms; 0 means no bound where that is allowed.
func (r *reader) duration(into *time.Duration, where string, orNone bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		d, err := time.ParseDuration(n.Value)
		switch {
		case n.Kind != yaml.ScalarNode || err != nil || d < 0 || d > longest:
			r.wrong(n, "%s must be a time up to 24h, such as 250ms, 30s or 5m, it is %s", where, kindOf(n))
		case d == 0 && !orNone:
			r.wrong(n, "%s must be more than 0", where)
		default:
			*into = d
		}
	}
}

var units = map[string]int64{"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

var sized = regexp.MustCompile(`^(\d{1,9}) ?(|[KMGT]iB)$`)

// bytes reads a number of bytes such as 64KiB.
func (r *reader) bytes(into *int64, where string, least, most int64) func(*yaml.Node) {
	return func(n *yaml.Node) {
		m := sized.FindStringSubmatch(n.Value)
		if n.Kind != yaml.ScalarNode || m == nil {
			r.wrong(n, "%s must be a number of bytes, such as 4096, 64KiB, 16MiB or 1GiB, it is %s", where, kindOf(n))
			return
		}
		count, _ := strconv.ParseInt(m[1], 10, 64) // nine digits
		if size := count * units[m[2]]; size/units[m[2]] != count || size < least || size > most {
			r.wrong(n, "%s must be from %d to %d bytes, it is %s", where, least, most, kindOf(n))
		} else {
			*into = size
		}
	}
}
