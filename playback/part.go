package playback

import (
	"encoding/json"

	"github.com/eb901187/annals"
)

// An extent is what a Reader needs to know of a playback, as JSON that is always the same.
type extent struct {
	Playback  string    `json:"playback"`
	Selection Selection `json:"selection"`
	End       int64     `json:"end,string"`
}

// Part is the part of the log that p sends, for a Reader that keeps it and asks
// ParsePart later. It differs from that of any other playback.
func (p *Playback) Part() (json.RawMessage, error) {
	return json.Marshal(extent{p.ID, p.Selection, p.End})
}

// ParsePart says which events a Part selects. Error: annals.ErrInvalid.
func ParsePart(part json.RawMessage) (selected func(*annals.Event) bool, err error) {
	var of extent
	if err := json.Unmarshal(part, &of); err != nil || of.End < 1 {
		return nil, annals.Invalid("part", "is not that of a playback: %.100q", part)
	}
	return func(e *annals.Event) bool { return e.Position <= of.End && of.Selection.Match(e) }, nil
}
