package console

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eb901187/annals"
)

// An eventView is an event as pages show it.
type eventView struct {
	annals.Event
	// Cause is where Causation leads; its Stream is empty where that is nowhere.
	Cause eventRef
	Data  dataView
	// Facts are the further attributes in the order of their names.
	Facts []fact
}

// An eventRef names an event.
type eventRef struct {
	Stream  string
	Version int64
}

func (r eventRef) String() string { return fmt.Sprintf("%s@%d", r.Stream, r.Version) }

// A fact is a name and what it is.
type fact struct{ Name, Value string }

// A dataView is data as text.
type dataView struct {
	Kind string // "none", "gone", "JSON", "text" or "binary", which is shown as a hex dump
	Why  string // why data that is not here is gone, or can't be read
	Text string
	Line string // its beginning on one line
	Size int    // of the data, in bytes
	Cut  bool   // Text shows the beginning only
}

// How much of an event's data is shown, in bytes.
const (
	fullData  = 256 << 10 // on its own page
	shortData = 4 << 10   // in a list
	lineData  = 120       // on one line
)

func newEventView(e *annals.Event, most int) eventView {
	v := eventView{Event: *e, Data: newDataView(e, most)}
	if stream, version, err := annals.ParseCausation(e.Causation); err == nil {
		v.Cause = eventRef{stream, version}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		v.Facts = append(v.Facts, fact{name, e.Attributes[name]})
	}
	return v
}

func newDataView(e *annals.Event, most int) dataView {
	d := dataView{Size: len(e.Data)}
	switch {
	case e.Erased():
		d.Kind, d.Why = "gone", "erased, of "+e.Subject()
	case e.ContentType == annals.SealedContentType:
		d.Kind, d.Why = "gone", "sealed for "+e.Subject()
	case len(e.Data) == 0:
		d.Kind = "none"
	case e.IsJSON():
		d.Kind = "JSON"
		d.Text, d.Cut = firstBytes(prettyJSON(e.Data, most), most)
	case isText(e.Data):
		d.Kind = "text"
		d.Text, d.Cut = firstBytes(string(e.Data), most)
	default:
		const line = 16 // bytes that take 79 of a dump
		shown := e.Data[:min(len(e.Data), most/79*line)]
		d.Kind, d.Text, d.Cut = "binary", hex.Dump(shown), len(shown) < len(e.Data)
	}
	beginning, cut := firstBytes(d.Text, lineData)
	if d.Line = strings.Join(strings.Fields(beginning), " "); cut {
		d.Line += " …"
	}
	return d
}

func isText(data []byte) bool {
	return utf8.Valid(data) && !strings.ContainsFunc(string(data), func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t'
	})
}

// firstBytes is at most so many bytes of text, whole characters.
func firstBytes(text string, most int) (string, bool) {
	if len(text) <= most {
		return text, false
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], true
}
