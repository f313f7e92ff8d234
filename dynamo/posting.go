package dynamo

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/eb901187/annals"
)

// What the index of a run knows events by: what the partition keys of its
// postings start with.
const (
	byType        = "t:"
	bySource      = "o:"
	byCorrelation = "c:"
	byStream      = "s:"
)

const (
	attrPlaces = "places" // ranges of positions; absent where the posting is dense
	attrFrom   = "from"   // of a stream: the version of its first event in the run
	attrNumber = "n"      // of positions
)

// A posting says where in a run the events of one key are.
type posting struct {
	key     string
	run     int64   // the first position of the run
	places  []int64 // ascending positions; nil where dense
	count   int64
	version int64 // of a stream's first event here
}

// A posting of more than a twentieth of its run names no positions: reading the
// run costs less than what the list would.
const denseShare = 20

// indexRun makes the postings of a run, in the order of their keys, so that
// whoever seals a run writes the same.
func indexRun(r run, events []annals.Event) []posting {
	byKey := map[string]*posting{}
	add := func(key string, e *annals.Event) {
		p := byKey[key]
		if p == nil {
			p = &posting{key: key, run: r.first, version: e.Version}
			byKey[key] = p
		}
		p.places = append(p.places, e.Position)
		p.count++
	}
	for i := range events {
		e := &events[i]
		add(byType+e.Type, e)
		add(bySource+e.Source, e)
		add(byStream+e.Stream, e)
		if e.Correlation != "" {
			add(byCorrelation+e.Correlation, e)
		}
	}
	postings := make([]posting, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		p := *byKey[key]
		if key[:2] != byStream {
			p.version = 0
			if p.count*denseShare > r.last-r.first+1 {
				p.places = nil
			}
		}
		postings = append(postings, p)
	}
	return postings
}

func (p *posting) item() item {
	i := item{attrKey: textValue(p.key), attrAt: numberValue(p.run), attrNumber: numberValue(p.count)}
	if p.places != nil {
		i[attrPlaces] = bytesValue(packPlaces(p.places, p.run))
	}
	if p.version > 0 {
		i[attrFrom] = numberValue(p.version)
	}
	return i
}

func newPosting(i item) (posting, error) {
	p := posting{key: i.text(attrKey), run: i.number(attrAt), count: i.number(attrNumber), version: i.number(attrFrom)}
	packed := i.bytes(attrPlaces)
	if packed == nil {
		return p, nil
	}
	p.places = unpackPlaces(packed, p.run, p.count)
	if int64(len(p.places)) != p.count {
		return p, damaged(fmt.Sprintf("posting %s of the run at position %d", p.key, p.run), fmt.Errorf("it is cut off"))
	}
	return p, nil
}

// packPlaces writes ranges of positions: how many lie between it and the last
// one, and its length.
func packPlaces(places []int64, from int64) []byte {
	var b []byte
	for i := 0; i < len(places); {
		n := 1
		for i+n < len(places) && places[i+n] == places[i]+int64(n) {
			n++
		}
		b = binary.AppendUvarint(b, uint64(places[i]-from))
		b = binary.AppendUvarint(b, uint64(n))
		from = places[i] + int64(n)
		i += n
	}
	return b
}

// unpackPlaces reads what packPlaces wrote, at most most of them.
func unpackPlaces(b []byte, from, most int64) []int64 {
	var places []int64
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return nil
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || length > uint64(most-int64(len(places))) {
			return nil
		}
		b = b[n+m:]
		from += int64(gap)
		for range length {
			places = append(places, from)
			from++
		}
	}
	return places
}
