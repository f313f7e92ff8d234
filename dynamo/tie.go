package dynamo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
)

// A tie says of a commit in a page or a run how many events it has and what it
// names as the hash of the commit before it. Ties stand beside the events, where
// versions of Annals that have none pass over them.
type tie struct {
	count    int64
	kind     tieKind
	previous annals.Hash // where tied
}

type tieKind uint64

const (
	untied  tieKind = iota // the commit was stored without a hash
	tied                   // it names one
	inItems                // the events of some commits, whose items say it
	tieKinds
)

func (t *tie) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(t.count)*uint64(tieKinds)+uint64(t.kind))
	if t.kind == tied {
		b = append(b, t.previous[:]...)
	}
	return b
}

// tie is that of a commit.
func (s *stored) tie() tie {
	if !s.chained {
		return tie{count: s.count, kind: untied}
	}
	return tie{count: s.count, kind: tied, previous: s.previous}
}

// parseTies reads the ties of so many events. Where a page or a run has none,
// none of its ties is known.
func parseTies(b []byte, events int) ([]tie, error) {
	if len(b) == 0 && events > 0 {
		return []tie{{count: int64(events), kind: inItems}}, nil
	}
	var ties []tie
	left := uint64(events)
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		count, kind := n/uint64(tieKinds), tieKind(n%uint64(tieKinds))
		if size <= 0 || count == 0 || count > left {
			return nil, errors.New("its ties are not those of its events")
		}
		b, left = b[size:], left-count
		t := tie{count: int64(count), kind: kind}
		if kind == tied {
			if len(b) < len(t.previous) {
				return nil, errors.New("its ties are cut off")
			}
			b = b[copy(t.previous[:], b):]
		}
		ties = append(ties, t)
	}
	if left > 0 {
		return nil, fmt.Errorf("its ties leave %d events out", left)
	}
	return ties, nil
}

// A part is what a page or a run holds.
type part struct {
	events []annals.Event
	ties   []byte // as tie.append writes them; none where an earlier version wrote it
}

// add puts another part behind p.
func (p *part) add(o part) {
	p.events = append(p.events, o.events...)
	if len(o.ties) == 0 && len(o.events) > 0 {
		o.ties = (&tie{count: int64(len(o.events)), kind: inItems}).append(nil)
	}
	p.ties = append(p.ties, o.ties...)
}

// skippable begins a frame that zstd decoders pass over.
const skippable = 0x184D2A50

// packPart packs the text of a page or a run with its ties, in front, where a
// version of Annals without ties unpacks the same text.
func packPart(text, ties []byte) []byte {
	b := make([]byte, 0, len(text)/3+len(ties)+64)
	b = binary.LittleEndian.AppendUint32(append(b, codecZstd), skippable)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ties)))
	return packer.EncodeAll(text, append(b, ties...))
}

// tiesIn are the ties that packPart put into a body; nil if it has none.
func tiesIn(body []byte) []byte {
	const start = 1 + 4 + 4
	if len(body) < start || body[0] != codecZstd || binary.LittleEndian.Uint32(body[1:]) != skippable {
		return nil
	}
	n := binary.LittleEndian.Uint32(body[5:])
	if uint64(n) > uint64(len(body)-start) {
		return nil
	}
	return bytes.Clone(body[start : start+n]) // the rest of the body may go
}
