package console

import (
	"fmt"
	"testing"
	"time"

	"github.com/eb901187/annals/tracking"
)

// Callers stand on the left, whoever calls back; nothing lies over anything else.
func TestServiceMapLayout(t *testing.T) {
	mapped := func(edges ...[2]string) tracking.ServiceMap {
		var m tracking.ServiceMap
		seen := map[string]bool{}
		for _, e := range edges {
			m.Edges = append(m.Edges, tracking.EdgeStats{Caller: e[0], Service: e[1], CallStats: tracking.CallStats{Calls: 1}})
			if !seen[e[1]] {
				m.Services = append(m.Services, tracking.ServiceStats{Service: e[1], CallStats: tracking.CallStats{Calls: 1}})
			}
			seen[e[1]] = true
		}
		return m
	}
	many := make([][2]string, 100)
	for i := range many {
		many[i] = [2]string{"gateway", fmt.Sprintf("service-%03d-with-a-long-name", i)}
	}
	for name, c := range map[string]struct {
		m    tracking.ServiceMap
		want string
	}{
		"a tree":                 {mapped([2]string{"g", "a"}, [2]string{"a", "b"}, [2]string{"g", "c"}), "g0 a1 c1 b2, 3 lines, 0 left"},
		"a call back":            {mapped([2]string{"g", "a"}, [2]string{"a", "b"}, [2]string{"b", "a"}), "g0 a1 b2, 3 lines, 0 left"},
		"a ring that none calls": {mapped([2]string{"a", "b"}, [2]string{"b", "c"}, [2]string{"c", "a"}), "a0 b1 c2, 3 lines, 0 left"},
		"itself":                 {mapped([2]string{"a", "a"}), "a0, 1 lines, 0 left"},
	} {
		t.Run(name, func(t *testing.T) {
			d := draw(c.m)
			got := ""
			for i, n := range d.Nodes {
				if i > 0 {
					got += " "
				}
				got += fmt.Sprint(n.Name, n.layer)
			}
			if got = fmt.Sprintf("%s, %d lines, %d left", got, len(d.Lines), d.Left); got != c.want {
				t.Fatalf("got %s, want %s", got, c.want)
			}
		})
	}
	d := draw(mapped(many...))
	places := map[[2]int]bool{}
	for _, n := range d.Nodes {
		places[[2]int{n.X, n.Y}] = true
		if n.X+nodeWidth > d.Width || n.Y+nodeHeight > d.Height || len([]rune(n.Short)) > nameDrawn {
			t.Fatalf("%+v in %d × %d", n, d.Width, d.Height)
		}
	}
	if len(d.Nodes) != nodesDrawn || len(places) != nodesDrawn || d.Left != 41 || len(d.Lines) > nodesDrawn {
		t.Fatalf("%d nodes at %d places, %d left, %d lines", len(d.Nodes), len(places), d.Left, len(d.Lines))
	}
}

func TestFigures(t *testing.T) {
	for want, got := range map[string]string{
		"0.00 %": shareText(0), "<0.01 %": shareText(1e-9), "12.50 %": shareText(0.125),
		"0.25": rateText(0.25), "12.3": rateText(12.34), "1235": rateText(1234.6),
		"750µs": tookText(750 * time.Microsecond), "12.3ms": tookText(12345 * time.Microsecond), "1.23s": tookText(1234 * time.Millisecond),
		"51ms": aboutText(51234 * time.Microsecond), "1.2s": aboutText(1234 * time.Millisecond), "0s": aboutText(0),
		"999 B": bytesText(999), "5.0 MiB": bytesText(5 << 20), "1.0 KiB": bytesText(1000),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestGrowth(t *testing.T) {
	var g growth
	start := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	if r := g.note(start, 10); r.Known || len(r.Steps) != 0 {
		t.Fatalf("%+v", r)
	}
	if r := g.note(start.Add(time.Second), 20); r.Known {
		t.Fatalf("%+v", r)
	}
	if r := g.note(start.Add(10*time.Second), 60); r.Rate != "5.00" || r.Over != "10s" || len(r.Steps) != 1 {
		t.Fatalf("%+v", r)
	}
	if r := g.note(start.Add(65*time.Second), 115); r.Rate != "1.00" || r.Over != "55s" { // the first sample is too old
		t.Fatalf("%+v", r)
	}
	if r := g.note(start.Add(66*time.Second), 3); r.Known { // another store
		t.Fatalf("%+v", r)
	}
	for i := range 10_000 {
		g.note(start.Add(time.Hour+time.Duration(i)*time.Second), int64(i))
	}
	if n := len(g.samples); n > int(growthSpan/growthStep)+1 {
		t.Fatalf("%d samples", n)
	}
}
