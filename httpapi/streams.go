package httpapi

import (
	"net/http"

	"github.com/eb901187/annals"
)

// A StreamVersion is one stream of a page of them.
type StreamVersion struct {
	Stream  string `json:"stream"`
	Version int64  `json:"version,string"` // of its last event
}

// Streams is a page of streams in the order of their names' bytes.
type Streams struct {
	Streams []StreamVersion `json:"streams"`
	Next    string          `json:"next,omitempty"` // the page behind this one is after this name; absent at the end
}

var streamsRoute = route{
	method: "GET", path: "/v1/streams", group: GroupQuery, id: "streams",
	summary: "The streams by name, in pages.",
	query: []param{
		{"prefix", "string", "only names that start so; Annals' own streams where this starts with annals."},
		{"after", "string", "only names behind this one"},
		{"limit", "integer", "the most streams: 100 by default, up to 1,000"},
	},
	answers: map[int]answer{
		200: {"streams", []string{mediaJSON}, "Streams"},
		400: problemAnswer, 404: problemAnswer, 413: problemAnswer, 500: problemAnswer, 503: problemAnswer,
	},
	handle: (*server).streams,
}

func streamsSchema() object {
	return strict([]string{"streams"}, object{
		"streams": list(strict([]string{"stream", "version"}, object{"stream": text, "version": text})), "next": text,
	})
}

func (s *server) streams(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	limit := a.limit()
	q := annals.StreamsQuery{Prefix: a.text("prefix"), After: a.text("after"), Limit: limit + 1}
	if err := a.err(); err != nil {
		return err
	}
	page := Streams{Streams: []StreamVersion{}}
	for info, err := range s.store.Streams(r.Context(), q) {
		if err != nil {
			return err
		}
		if n := len(page.Streams); n == limit {
			page.Next = page.Streams[n-1].Stream
			break
		}
		page.Streams = append(page.Streams, StreamVersion{info.Name, info.Version})
	}
	writeJSON(w, http.StatusOK, mediaJSON, page)
	return nil
}
