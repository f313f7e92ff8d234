package console

import (
	"net/http"

	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// Limits of a page that compares.
const (
	comparedKeys  = 2000
	shownDiffs    = 100
	comparedBytes = 2 << 20 // of the differences, after the first
)

// diffData is what the page of two generations shows.
type diffData struct {
	Name        string
	A, B        projection.Snapshot
	After       string
	Generations []int
	// Of the documents that were compared.
	Same, Different, Newer int
	Differences            []documentDiff
	Next                   string // the address where the comparison goes on; empty at the end
	Command                string
}

// Address is where the projection is shown.
func (d *diffData) Address() string { return projectionAddress(d.Name) }

// Compared is how many documents the page looked at.
func (d *diffData) Compared() int { return d.Same + d.Different + d.Newer }

type documentDiff struct {
	Key        string
	OnlyA      bool // the other generation has no such document
	OnlyB      bool
	AddressOfA string
	AddressOfB string
	Lines      []diffLine
}

func (c *console) diff(r *http.Request) (string, any, error) {
	name := r.PathValue("name")
	title := "Generations of " + name + " compared"
	set := c.opts.Projections
	if set == nil {
		return title, nil, noProjections()
	}
	a, err := small(r, "a")
	if err != nil {
		return title, nil, err
	}
	b, err := small(r, "b")
	if err != nil {
		return title, nil, err
	}
	info, err := set.Show(r.Context(), name)
	if err != nil {
		return title, nil, err
	}
	if a == 0 {
		a = info.Live
	}
	if b == 0 {
		if b, err = info.Counterpart(); err != nil {
			return title, nil, err
		}
	}
	data := &diffData{Name: name, After: r.URL.Query().Get("after"), Command: c.cli("projection", "diff", name, "--generations", counted(a)+","+counted(b))}
	for _, g := range info.Generations {
		if g.Role != projection.Deleted {
			data.Generations = append(data.Generations, g.Number)
		}
	}
	return title, data, c.compare(r, data, a, b)
}

// compare fills in what differs behind data.After.
func (c *console) compare(r *http.Request, data *diffData, a, b int) error {
	differences, compared, err := c.opts.Projections.DiffRange(r.Context(), data.Name, a, b, view.Range{After: data.After, Limit: comparedKeys})
	if err != nil {
		return err
	}
	size, next := 0, ""
	for d, err := range differences {
		if err != nil {
			return err
		}
		size += len(d.A) + len(d.B)
		data.Differences = append(data.Differences, documentDiff{
			Key: d.Key, OnlyA: d.B == nil, OnlyB: d.A == nil, Lines: diffJSON(d.A, d.B),
			AddressOfA: data.Address() + "/document" + query("key", d.Key, "generation", counted(a)),
			AddressOfB: data.Address() + "/document" + query("key", d.Key, "generation", counted(b)),
		})
		if len(data.Differences) == shownDiffs || size > comparedBytes {
			next = d.Key
			break
		}
	}
	if next == "" {
		next = compared.Next
	}
	if next != "" {
		data.Next = data.Address() + "/diff" + query("a", counted(a), "b", counted(b), "after", next)
	}
	data.A, data.B = compared.A, compared.B
	data.Same, data.Different, data.Newer = compared.Same, compared.Different, compared.Newer
	return nil
}
