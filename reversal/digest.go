package reversal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/eb901187/annals"
)

// Digest stands for what p appends, at which versions, and what becomes of the states:
// plans with the same digest do the same, whatever their reasons. Whoever shows a plan,
// and plans again with the same ID to apply it, compares the digests.
func (p *Plan) Digest() string {
	bare := Plan{ID: p.ID, Streams: make([]StreamPlan, len(p.Streams))}
	for i, s := range p.Streams {
		s.Events = append([]annals.Event(nil), s.Events...)
		for j := range s.Events {
			e := &s.Events[j]
			e.Attributes = maps.Clone(e.Attributes)
			delete(e.Attributes, AttributeReason)
		}
		bare.Streams[i] = s
	}
	text, err := json.Marshal(bare)
	if err != nil {
		// The states are JSON, and events can always be written.
		panic(fmt.Sprintf("reversal: a plan can't be written: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
