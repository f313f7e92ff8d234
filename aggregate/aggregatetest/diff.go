package aggregatetest

import "strings"

// diffLines shows how got differs from want, one line each, with - before lines
// that only want has and + before those that only got has; empty if they are the
// same.
func diffLines(want, got []string) string {
	// common[i][j] is the length of the longest list that is in want[i:] and in
	// got[j:] in this order.
	common := make([][]int, len(want)+1)
	for i := range common {
		common[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if want[i] == got[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var b strings.Builder
	differs := false
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		mark, text := "  ", ""
		switch {
		case i < len(want) && j < len(got) && want[i] == got[j]:
			text = want[i]
			i, j = i+1, j+1
		case j == len(got) || i < len(want) && common[i+1][j] >= common[i][j+1]:
			mark, text, differs = "- ", want[i], true
			i++
		default:
			mark, text, differs = "+ ", got[j], true
			j++
		}
		b.WriteString(mark + text + "\n")
	}
	if !differs {
		return ""
	}
	return b.String()
}
