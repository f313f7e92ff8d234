package reversal

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/eb901187/annals"
)

// A history is a stream with the reversals in it.
type history struct {
	stream string
	events []annals.Event // of version 1, 2, 3 …
	marks  map[int64]mark // by version, for events of reversals
	groups []*group       // in order of version
}

// A mark is what an event of a reversal says in its attributes.
type mark struct {
	group    *group
	reverses []int64
	way      Way
}

// A group is all that one reversal has appended to the stream.
type group struct {
	id       string
	versions []int64
}

func readHistory(ctx context.Context, store *annals.Store, stream string) (*history, error) {
	h := &history{stream: stream, marks: map[int64]mark{}}
	byID := map[string]*group{}
	for e, err := range store.Stream(ctx, stream, nil) {
		if err != nil {
			return nil, err
		}
		h.events = append(h.events, e)
		reverses, way, id := marked(&e)
		if reverses == nil {
			continue
		}
		g := byID[id]
		if g == nil {
			g = &group{id: id}
			byID[id] = g
			h.groups = append(h.groups, g)
		}
		g.versions = append(g.versions, e.Version)
		h.marks[e.Version] = mark{g, reverses, way}
	}
	return h, nil
}

func (h *history) version() int64 { return int64(len(h.events)) }

// at returns the event of a version; nil if there is none.
func (h *history) at(version int64) *annals.Event {
	if version < 1 || version > h.version() {
		return nil
	}
	return &h.events[version-1]
}

func (h *history) name(version int64) string { return nameOf(h.stream, version) }

// group of an id; nil if there is none.
func (h *history) group(id string) *group {
	for _, g := range h.groups {
		if g.id == id {
			return g
		}
	}
	return nil
}

// technical reports that the event of this version is there for what it does to
// the state, and says nothing that happened.
func (h *history) technical(version int64) bool {
	m, has := h.marks[version]
	return has && m.way != Declared
}

// standing returns which events are reversed, and by which, and which of those the
// fold goes without; also is what a further reversal would reverse. A reversal
// that is reversed reverses nothing. Later ones are looked at first, as only they
// can reverse an earlier one.
func (h *history) standing(also map[int64]Way) (by map[int64]int64, without map[int64]bool) {
	by, without = map[int64]int64{}, map[int64]bool{}
	for version, way := range also {
		by[version] = h.version() + 1
		without[version] = way != Declared
	}
	for _, g := range slices.Backward(h.groups) {
		if slices.ContainsFunc(g.versions, func(v int64) bool { return by[v] > 0 }) {
			continue
		}
		for _, v := range g.versions {
			m := h.marks[v]
			for _, reversed := range m.reverses {
				by[reversed] = v
				without[reversed] = without[reversed] || m.way != Declared
			}
		}
	}
	return by, without
}

// remaining are the events that make the state if also is reversed. Where a
// declared inverse stands, so does what it reverses: both happened.
func (h *history) remaining(also map[int64]Way) (events []annals.Event) {
	_, without := h.standing(also)
	for i := range h.events {
		if v := h.events[i].Version; !without[v] && !h.technical(v) {
			events = append(events, h.events[i])
		}
	}
	return events
}

// marked reads the attributes of an event of a reversal; nil for any other event,
// also for one that was copied from elsewhere.
func marked(e *annals.Event) (reverses []int64, way Way, id string) {
	id, way = e.Attributes[AttributeReversal], Way(e.Attributes[AttributeWay])
	list, mine := strings.CutPrefix(e.Attributes[AttributeReverses], e.Stream+"@")
	if id == "" || !mine || way != Declared && way != MergePatch && way != Replay {
		return nil, "", ""
	}
	before := int64(0)
	for part := range strings.SplitSeq(list, ",") {
		first, last, several := strings.Cut(part, "-")
		if !several {
			last = first
		}
		from, err := strconv.ParseInt(first, 10, 64)
		to, err2 := strconv.ParseInt(last, 10, 64)
		if err != nil || err2 != nil || from <= before || to < from || to >= e.Version {
			return nil, "", ""
		}
		for v := from; v <= to; v++ {
			reverses = append(reverses, v)
		}
		before = to
	}
	return reverses, way, id
}

// lists writes versions of stream as values of AttributeReverses, as few as their
// length allows.
func lists(stream string, versions []int64) (all []string) {
	prefix := stream + "@"
	list := prefix
	for i := 0; i < len(versions); {
		j := i
		for j+1 < len(versions) && versions[j+1] == versions[j]+1 {
			j++
		}
		part := strconv.FormatInt(versions[i], 10)
		if j > i {
			part += "-" + strconv.FormatInt(versions[j], 10)
		}
		i = j + 1
		if len(list)+1+len(part) > annals.MaxAttributeBytes {
			all, list = append(all, list), prefix
		}
		if list != prefix {
			list += ","
		}
		list += part
	}
	return append(all, list)
}

// inOrder are the versions in also.
func inOrder(also map[int64]Way) []int64 { return slices.Sorted(maps.Keys(also)) }
