package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/eb901187/annals/tracking"
)

// A serviceMap is the services of the last hour, as tables and as a drawing.
type serviceMap struct {
	Services []serviceRow
	Edges    []edgeRow
	Drawing  *drawing // nil without services
	State    tracking.BoardState
}

// callCells are the figures of a row.
type callCells struct {
	tracking.CallStats
	Rate, Share, Half, Most string
	Class                   string
}

func newCallCells(s tracking.CallStats) callCells {
	class := "ok"
	switch share := s.FailedShare(); {
	case share >= 0.05:
		class = "bad"
	case share > 0:
		class = "warn"
	}
	return callCells{s, rateText(s.PerMinute), shareText(s.FailedShare()), aboutText(s.P50), aboutText(s.P99), class}
}

// rateText is a rate with two digits behind the point where they matter.
func rateText(rate float64) string {
	switch {
	case rate >= 100:
		return strconv.FormatFloat(rate, 'f', 0, 64)
	case rate >= 10:
		return strconv.FormatFloat(rate, 'f', 1, 64)
	default:
		return strconv.FormatFloat(rate, 'f', 2, 64)
	}
}

// shareText is a share in percent. One that is not 0 never looks like 0.
func shareText(share float64) string {
	if share > 0 && share < 0.0001 {
		return "<0.01 %"
	}
	return strconv.FormatFloat(100*share, 'f', 2, 64) + " %"
}

// aboutText is a duration with the two digits that are known of it.
func aboutText(d time.Duration) string {
	step := time.Duration(1)
	for d >= 100*step {
		step *= 10
	}
	return tookText(d.Round(step))
}

type serviceRow struct {
	Service string
	Faults  int
	Failing string // the address of its failing requests
	callCells
}

type edgeRow struct {
	Caller, Service string
	callCells
}

func (c *console) serviceMap(r *http.Request) (string, any, error) {
	found, state, err := c.board.Services(r.Context())
	if err != nil {
		return "Service map", nil, err
	}
	m := &serviceMap{State: state}
	for _, s := range found.Services {
		m.Services = append(m.Services, serviceRow{s.Service, s.Faults, tracesAddress(s.Service, "", true, nil), newCallCells(s.CallStats)})
	}
	for _, e := range found.Edges {
		m.Edges = append(m.Edges, edgeRow{e.Caller, e.Service, newCallCells(e.CallStats)})
	}
	if len(m.Services) > 0 {
		m.Drawing = draw(found)
	}
	return "Service map", m, nil
}

// Sizes of the drawing, in pixels.
const (
	nodeWidth, nodeHeight = 176, 52
	gapX, gapY, margin    = 96, 22, 8
	nodesDrawn            = 60 // the busiest; the table has all
	nameDrawn             = 22 // letters
)

// A drawing is a graph: who calls is on the left of whom it calls.
type drawing struct {
	Width, Height int
	Nodes         []*node
	Lines         []line
	Left          int // services that are not drawn
}

type node struct {
	Name, Short, Line, Class, Address string
	X, Y                              int
	layer, calls                      int
}

// Of the node's own corner, as SVG takes them.
func (n *node) TextX() int { return n.X + 12 }
func (n *node) NameY() int { return n.Y + 22 }
func (n *node) LineY() int { return n.Y + 40 }

type line struct {
	Path, Class, Title string
	Width              float64
}

// draw lays out the services.
func draw(m tracking.ServiceMap) *drawing {
	nodes := map[string]*node{}
	for _, s := range m.Services {
		cells := newCallCells(s.CallStats)
		nodes[s.Service] = &node{Name: s.Service, Line: cells.Rate + "/min, " + cells.Share, Class: cells.Class, calls: s.Calls, Address: tracesAddress(s.Service, "", cells.Failed > 0, nil)}
	}
	for _, e := range m.Edges {
		if nodes[e.Caller] == nil {
			nodes[e.Caller] = &node{Name: e.Caller, Line: "calls others", Class: "muted", calls: e.Calls}
		}
	}
	drawn := slices.SortedFunc(maps.Values(nodes), func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.Name, b.Name))
	})
	d := &drawing{Left: max(0, len(drawn)-nodesDrawn)}
	for _, n := range drawn[len(drawn)-d.Left:] {
		delete(nodes, n.Name)
	}
	d.Nodes = drawn[:len(drawn)-d.Left]
	layers(nodes, d.Nodes, m.Edges)
	d.place()
	for _, e := range m.Edges {
		if from, to := nodes[e.Caller], nodes[e.Service]; from != nil && to != nil {
			d.Lines = append(d.Lines, newLine(from, to, newCallCells(e.CallStats)))
		}
	}
	return d
}

// layers puts each node one to the right of the callers that lead to it from those
// whom nobody calls; calls back to the left change nothing.
func layers(nodes map[string]*node, order []*node, edges []tracking.EdgeStats) {
	calls, called := map[*node][]*node{}, map[*node]bool{}
	for _, e := range edges {
		if from, to := nodes[e.Caller], nodes[e.Service]; from != nil && to != nil && from != to {
			calls[from] = append(calls[from], to)
			called[to] = true
		}
	}
	for _, n := range order {
		n.layer = -1
	}
	spread := func(from *node) {
		from.layer = 0
		for next := []*node{from}; len(next) > 0; next = next[1:] {
			for _, to := range calls[next[0]] {
				if to.layer < 0 {
					to.layer = next[0].layer + 1
					next = append(next, to)
				}
			}
		}
	}
	for _, n := range order {
		if !called[n] {
			spread(n)
		}
	}
	for _, n := range order { // those that only call each other
		if n.layer < 0 {
			spread(n)
		}
	}
}

// place gives each node its corner: layers from left to right, within one by name.
func (d *drawing) place() {
	slices.SortFunc(d.Nodes, func(a, b *node) int {
		return cmp.Or(cmp.Compare(a.layer, b.layer), cmp.Compare(a.Name, b.Name))
	})
	rows := map[int]int{}
	for _, n := range d.Nodes {
		n.X = margin + n.layer*(nodeWidth+gapX)
		n.Y = margin + rows[n.layer]*(nodeHeight+gapY)
		rows[n.layer]++
		n.Short = n.Name
		if letters := []rune(n.Name); len(letters) > nameDrawn {
			n.Short = string(letters[:nameDrawn-1]) + "…"
		}
		d.Width = max(d.Width, n.X+nodeWidth+margin)
		d.Height = max(d.Height, n.Y+nodeHeight+margin)
	}
}

// newLine leads from the right side of a node to the left side of another.
func newLine(from, to *node, cells callCells) line {
	x1, y1, x2, y2 := from.X+nodeWidth, from.Y+nodeHeight/2, to.X, to.Y+nodeHeight/2
	bend := max((x2-x1)/2, gapX/2)
	l := line{
		Path:  fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2),
		Title: fmt.Sprintf("%s calls %s: %s a minute, %s failed", from.Name, to.Name, cells.Rate, cells.Share),
		Width: 1.5,
	}
	if cells.Class == "bad" {
		l.Class = " bad"
	}
	if cells.PerMinute >= 60 {
		l.Width = 3
	}
	return l
}
