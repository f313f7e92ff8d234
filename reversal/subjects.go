package reversal

import "slices"

// subjects are the data subjects whose data the stream's events hold, in order, none
// twice.
func (h *history) subjects() (names []string) {
	for i := range h.events {
		e := &h.events[i]
		if name := e.Subject(); name != "" && !e.Erased() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
