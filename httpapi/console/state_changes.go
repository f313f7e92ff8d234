package console

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/eb901187/annals/projection/fold"
)

// A stateChange is a place of a document, as a JSON Pointer (RFC 6901; empty for the
// whole), and the values there before and after; empty for none.
type stateChange struct{ Path, Before, After string }

// Limits of what is shown of changes.
const (
	mostChanges = 200
	changeBytes = 1 << 10 // of a value
)

// changesOf compares two documents, nil for none, place by place: members by name,
// elements by index. more says that there are others.
func changesOf(before, after any) (changes []stateChange, more bool) {
	d := &differ{}
	d.compare("", before, after, before != nil, after != nil)
	if len(d.changes) > mostChanges {
		return d.changes[:mostChanges], true
	}
	return d.changes, false
}

type differ struct{ changes []stateChange }

func (d *differ) compare(path string, a, b any, inA, inB bool) {
	if len(d.changes) > mostChanges {
		return
	}
	if x, y, ok := pair[map[string]any](a, b); ok {
		names := maps.Clone(x)
		maps.Copy(names, y)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			left, inX := x[name]
			right, inY := y[name]
			d.compare(path+"/"+pointerEscapes.Replace(name), left, right, inX, inY)
		}
		return
	}
	if x, y, ok := pair[[]any](a, b); ok {
		for i := range max(len(x), len(y)) {
			var left, right any
			if i < len(x) {
				left = x[i]
			}
			if i < len(y) {
				right = y[i]
			}
			d.compare(path+"/"+strconv.Itoa(i), left, right, i < len(x), i < len(y))
		}
		return
	}
	before, after := valueText(a, inA), valueText(b, inB)
	if before != after {
		d.changes = append(d.changes, stateChange{path, shorter(before), shorter(after)})
	}
}

func pair[T any](a, b any) (x, y T, ok bool) {
	x, ok = a.(T)
	if ok {
		y, ok = b.(T)
	}
	return x, y, ok
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// valueText is a value as JSON, empty for none.
func valueText(v any, there bool) string {
	if !there {
		return ""
	}
	text, err := fold.Encode(v)
	if err != nil {
		text, _ = json.Marshal(err.Error()) // a string always can be
	}
	return string(text)
}

func shorter(text string) string {
	text, cut := firstBytes(text, changeBytes)
	if cut {
		text += " …"
	}
	return text
}
