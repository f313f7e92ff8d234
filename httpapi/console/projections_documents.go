package console

import (
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// Limits of a page of documents.
const (
	documentsShown = 50
	documentsBytes = 1 << 20 // after the first document
	snippetBytes   = 200     // of a document in a list
)

// definitionData is what the page of a generation's definition shows.
type definitionData struct {
	Name       string
	Generation int
	projection.Definition
	Text string
}

// Address is where the projection is shown.
func (d *definitionData) Address() string { return projectionAddress(d.Name) }

// ofGeneration are the projections of a page about a generation, and its number as the
// query says; 0 for the live one.
func (c *console) ofGeneration(r *http.Request) (set *projection.Set, generation int, err error) {
	if set = c.opts.Projections; set == nil {
		return nil, 0, noProjections()
	}
	generation, err = small(r, "generation")
	return set, generation, err
}

func (c *console) definition(r *http.Request) (string, any, error) {
	name := r.PathValue("name")
	title := "Definition of " + name
	set, generation, err := c.ofGeneration(r)
	if err != nil {
		return title, nil, err
	}
	if generation == 0 {
		info, err := set.Show(r.Context(), name)
		if err != nil {
			return title, nil, err
		}
		generation = info.Live
	}
	of, err := set.Definition(r.Context(), name, generation)
	if err != nil {
		return title, nil, err
	}
	return title, &definitionData{name, generation, of, shortText(of.Text)}, nil
}

// documentsData is what a page of documents shows.
type documentsData struct {
	Name, Prefix, After string
	Asked               int // the generation of the query; 0 for the live one
	At                  projection.Snapshot
	Documents           []documentRow
	Next                string // the address of the page behind this one; empty at the end
	Commands            []string
}

// Address is where the projection is shown.
func (d *documentsData) Address() string { return projectionAddress(d.Name) }

type documentRow struct {
	Key, Address string
	Position     int64
	Snippet      string
}

func (c *console) documents(r *http.Request) (string, any, error) {
	name, q := r.PathValue("name"), r.URL.Query()
	title := "Documents of " + name
	set, generation, err := c.ofGeneration(r)
	if err != nil {
		return title, nil, err
	}
	data := &documentsData{Name: name, Prefix: q.Get("prefix"), After: q.Get("after"), Asked: generation}
	span := view.Range{Prefix: data.Prefix, After: data.After, Limit: documentsShown + 1}
	found, at, err := set.Scan(r.Context(), name, span, &projection.ReadOptions{Generation: generation})
	if err != nil {
		return title, nil, err
	}
	data.At = at
	data.Commands = []string{
		c.cli(viewed(name, data.Prefix)...),
		c.curl(http.MethodGet, "/v1/views/"+name+query("prefix", data.Prefix, "after", data.After, "generation", counted(generation))),
	}
	size := 0
	for doc, err := range found {
		if err != nil {
			return title, nil, err
		}
		if n := len(data.Documents); n == documentsShown || n > 0 && size+len(doc.Data) > documentsBytes {
			data.Next = data.Address() + "/documents" + query("prefix", data.Prefix, "after", data.Documents[n-1].Key, "generation", counted(generation))
			break
		}
		size += len(doc.Data)
		data.Documents = append(data.Documents, documentRow{
			doc.Key, data.Address() + "/document" + query("key", doc.Key, "generation", counted(generation)), doc.Position, snippet(doc.Data),
		})
	}
	return title, data, nil
}

// viewed are the arguments that list documents.
func viewed(name, prefix string) []string {
	if prefix == "" {
		return []string{"view", name}
	}
	return []string{"view", name, "--prefix", prefix}
}

// snippet is the start of a document.
func snippet(data []byte) string {
	if len(data) <= snippetBytes {
		return shortText(data)
	}
	end := snippetBytes
	for end > snippetBytes-utf8.UTFMax && !utf8.RuneStart(data[end]) {
		end--
	}
	return shortText(data[:end]) + "…"
}

// counted is n as a parameter; empty for 0.
func counted(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// query is the query of an address, of names and values by turns; what is empty is
// left out.
func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// documentData is what the page of a document shows.
type documentData struct {
	Name     string
	At       projection.Snapshot
	Position int64 // of the last event folded into the document
	Text     string
	Commands []string
}

// Address is where the projection is shown.
func (d *documentData) Address() string { return projectionAddress(d.Name) }

func (c *console) document(r *http.Request) (string, any, error) {
	name, key := r.PathValue("name"), r.URL.Query().Get("key")
	title := key + " of " + name
	set, generation, err := c.ofGeneration(r)
	if err != nil {
		return title, nil, err
	}
	doc, at, err := set.Get(r.Context(), name, key, &projection.ReadOptions{Generation: generation})
	if err != nil {
		return title, nil, err
	}
	text, cut := firstBytes(prettyJSON(doc.Data, wholeJSON), wholeJSON)
	if cut {
		text += "\n" + notShown
	}
	return title, &documentData{Name: name, At: at, Position: doc.Position, Text: text, Commands: []string{
		c.cli("view", name, key),
		c.curl(http.MethodGet, "/v1/views/"+name+"/"+url.PathEscape(key)+query("generation", counted(generation))),
	}}, nil
}
