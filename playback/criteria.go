package playback

import (
	"strconv"
	"time"
)

// A Criterion is one of the things that a Selection asks of an event.
type Criterion struct {
	Name   string   // that of the field in JSON, such as streams
	Values []string // any of which matches; times are in RFC 3339 and UTC
}

// Criteria lists what s asks of an event, in the order of its fields; none if it selects
// the whole log.
func (s *Selection) Criteria() (all []Criterion) {
	add := func(name string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			all = append(all, Criterion{name, values})
		}
	}
	add("streams", s.Streams...)
	add("types", s.Types...)
	add("sources", s.Sources...)
	add("correlation", s.Correlation)
	add("since", timeText(s.Since))
	add("until", timeText(s.Until))
	add("from", positionText(s.From))
	add("to", positionText(s.To))
	return all
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func positionText(position int64) string {
	if position == 0 {
		return ""
	}
	return strconv.FormatInt(position, 10)
}
