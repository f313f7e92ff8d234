package console

import (
	"bytes"
	"encoding/json"
	"strings"
)

// A diffLine is a line that both sides have, or one of them.
type diffLine struct {
	Op   string // "del" of the first side only, "ins" of the second only, empty of both
	Text string
}

// Limits of what is compared line by line, and shown.
const (
	maxDiffLines = 1000     // of both sides together, without what they begin and end with alike
	maxDiffBytes = 64 << 10 // that are shown
	nearLines    = 3        // of both sides that are shown beside a change
)

// diffJSON compares two documents line by line, indented and with their members in
// order; nil is no document. Of what is alike it keeps the lines beside a change.
// Where there is too much to compare, one side stands behind the other.
func diffJSON(a, b []byte) []diffLine {
	x, y := jsonLines(a), jsonLines(b)
	head := 0
	for head < len(x) && head < len(y) && x[head] == y[head] {
		head++
	}
	tail := 0
	for tail < len(x)-head && tail < len(y)-head && x[len(x)-1-tail] == y[len(y)-1-tail] {
		tail++
	}
	lines := both(x[:head])
	lines = append(lines, diffLines(x[head:len(x)-tail], y[head:len(y)-tail])...)
	return firstLines(nearChanges(append(lines, both(x[len(x)-tail:])...)))
}

// firstLines leaves out what is behind the first maxDiffBytes.
func firstLines(lines []diffLine) []diffLine {
	size := 0
	for i := range lines {
		if room := maxDiffBytes - size; len(lines[i].Text) > room {
			lines[i].Text = strings.ToValidUTF8(lines[i].Text[:room], "")
			return append(lines[:i+1], diffLine{"", notShown})
		}
		size += len(lines[i].Text)
	}
	return lines
}

func both(lines []string) []diffLine { return withOp("", lines) }

func withOp(op string, lines []string) []diffLine {
	all := make([]diffLine, len(lines))
	for i, text := range lines {
		all[i] = diffLine{op, text}
	}
	return all
}

// diffLines finds the longest lines that a and b have in common, in order.
func diffLines(a, b []string) []diffLine {
	if len(a)+len(b) > maxDiffLines {
		return append(withOp("del", a), withOp("ins", b)...)
	}
	// longest[i][j] is how many lines a[i:] and b[j:] have in common.
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var all []diffLine
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			all = append(all, diffLine{"", a[i]})
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			all = append(all, diffLine{"del", a[i]})
			i++
		default:
			all = append(all, diffLine{"ins", b[j]})
			j++
		}
	}
	return append(append(all, withOp("del", a[i:])...), withOp("ins", b[j:])...)
}

// nearChanges leaves out what is alike and not near a change.
func nearChanges(lines []diffLine) []diffLine {
	near := make([]bool, len(lines))
	for i := range lines {
		if lines[i].Op != "" {
			for k := max(0, i-nearLines); k <= min(len(lines)-1, i+nearLines); k++ {
				near[k] = true
			}
		}
	}
	var kept []diffLine
	for i := range lines {
		switch {
		case near[i]:
			kept = append(kept, lines[i])
		case i == 0 || near[i-1]:
			kept = append(kept, diffLine{"", "…"})
		}
	}
	return kept
}

// jsonLines are those of a document with its members in the order of their names;
// those of the text where it is not JSON.
func jsonLines(data []byte) []string {
	if data == nil {
		return nil
	}
	text := string(data)
	if json.Valid(data) {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var value any
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if decoder.Decode(&value) == nil && encoder.Encode(value) == nil {
			text = strings.TrimSuffix(out.String(), "\n")
		}
	}
	return strings.Split(strings.ToValidUTF8(text, "\uFFFD"), "\n")
}

const notShown = "… (the rest is not shown)"

// shortText is as much of data as is shown, as valid UTF-8.
func shortText(data []byte) string {
	rest := ""
	if len(data) > maxDiffBytes {
		data, rest = data[:maxDiffBytes], "\n"+notShown
	}
	return strings.ToValidUTF8(string(data), "\uFFFD") + rest
}
