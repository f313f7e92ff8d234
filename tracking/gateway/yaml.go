package gateway

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/eb901187/annals/yamlfile"
)

const problemsHint = "mend the file; docs/gateway.md lists the keys"

// A reader takes a file's YAML apart and gathers what is wrong with it.
type reader struct {
	config   *Config
	problems []yamlfile.Problem
}

func (r *reader) wrong(n *yaml.Node, format string, args ...any) {
	r.wrongAt(n.Line, format, args...)
}

func (r *reader) wrongAt(line int, format string, args ...any) {
	r.problems = append(r.problems, yamlfile.At(line, problemsHint, format, args...))
}

// root reads the one document of a file; nil if it can't be read.
func (r *reader) root(text []byte) *yaml.Node {
	root, err := yamlfile.Document(text)
	var no *yamlfile.DocumentError
	if !errors.As(err, &no) {
		return root
	}
	switch no.Err {
	case yamlfile.ErrEmpty:
		r.wrongAt(no.Line, "%v: it needs record, services and routes", no.Err)
	case yamlfile.ErrSeveral:
		r.wrongAt(no.Line, "%v: put all into one", no.Err)
	default:
		r.wrongAt(no.Line, "this is no YAML: %v", no.Err)
	}
	return nil
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
		key := yamlfile.Resolved(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			r.wrong(key, "a key of %s must be a text, it is %s", where, kindOf(key))
			continue
		}
		if line, twice := first[key.Value]; twice {
			r.wrong(n.Content[i], "%s stands here and in line %d", dotted(where, key.Value), line)
			continue
		}
		first[key.Value] = n.Content[i].Line
		each(key, yamlfile.Resolved(n.Content[i+1]))
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
		if r.text(&s, where)(yamlfile.Resolved(element)); s != "" {
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
