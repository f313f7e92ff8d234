package console

import (
	"encoding/json"
	"strings"
)

// wholeJSON is up to how many indented bytes of a document a page about it shows; a form
// holds that many.
const wholeJSON = 1 << 20

// shortJSON is as much of data, indented, as is shown among others.
func shortJSON(data []byte) string {
	return shortText([]byte(prettyJSON(data, maxDiffBytes)))
}

// prettyJSON is data indented, its numbers and the order of its members kept; as it
// is where it is not JSON. It ends somewhere behind the first most bytes: nested deeply,
// data grows to a hundred times its size.
func prettyJSON(data []byte, most int) string {
	if !json.Valid(data) {
		return shortText(data)
	}
	p := printer{most: most}
	for i := 0; i < len(data) && p.out.Len() <= most; i++ {
		p.next(data[i])
	}
	return p.out.String()
}

// A printer indents valid JSON.
type printer struct {
	out             strings.Builder
	most            int
	depth           int
	opened          bool // nothing is within the innermost object or array so far
	quoted, escaped bool
}

func (p *printer) next(c byte) {
	switch {
	case p.quoted:
		p.out.WriteByte(c)
		p.quoted = c != '"' || p.escaped
		p.escaped = c == '\\' && !p.escaped
		return
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		return
	case c == '}' || c == ']':
		p.depth--
		if !p.opened {
			p.line()
		}
		p.opened = false
		p.out.WriteByte(c)
		return
	}
	if p.opened {
		p.line()
		p.opened = false
	}
	p.out.WriteByte(c)
	switch c {
	case '"':
		p.quoted = true
	case '{', '[':
		p.depth++
		p.opened = true
	case ',':
		p.line()
	case ':':
		p.out.WriteByte(' ')
	}
}

func (p *printer) line() {
	p.out.WriteByte('\n')
	for range p.depth {
		p.out.WriteString("  ")
	}
}
