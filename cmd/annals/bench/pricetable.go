package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Table is the report for people.
func (r PriceReport) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dollars a month, list prices of %s\n\n", r.Of)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "events a second\t")
	for _, rate := range Rates() {
		fmt.Fprint(w, grouped(rate), "\t")
	}
	fmt.Fprintln(w)
	for _, p := range r.Parts {
		fmt.Fprint(w, p.Part, "\t")
		for _, c := range p.Costs {
			fmt.Fprint(w, dollars(c.Dollars), "\t")
		}
		fmt.Fprintf(w, " %s\n", p.Does)
	}
	_ = w.Flush() // a strings.Builder never fails
	b.WriteString("\n")
	for _, a := range r.Assumptions {
		fmt.Fprintf(&b, "- %s\n", a)
	}
	return trimmed(b.String())
}

// dollars prints cents below ten dollars.
func dollars(d float64) string {
	switch {
	case d == 0:
		return "0"
	case d < 9.995:
		return strconv.FormatFloat(d, 'f', 2, 64)
	}
	return grouped(d)
}

// grouped prints a whole number with commas.
func grouped(n float64) string {
	s := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
