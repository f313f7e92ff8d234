package fold

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// A problem is what is wrong in a file, and what to do about it.
type problem struct {
	line          int
	message, hint string
}

// problems of one file, as the cause of an error.
type problems struct {
	file string
	list []problem
}

func (p *problems) Error() string {
	var b strings.Builder
	for _, one := range p.list {
		fmt.Fprintf(&b, "\n  %s:%d: %s", p.file, one.line, one.message)
		if one.hint != "" {
			b.WriteString(" (" + one.hint + ")")
		}
	}
	return b.String()
}

// problemsErr is the error of a file with problems: one stands in the message,
// several are listed by line below it.
func problemsErr(file string, list []problem) error {
	if len(list) == 1 {
		return &annals.Error{Code: annals.CodeInvalid, Message: fmt.Sprintf("%s:%d: %s", file, list[0].line, list[0].message), Hint: list[0].hint}
	}
	slices.SortStableFunc(list, func(a, b problem) int { return a.line - b.line })
	return &annals.Error{
		Code: annals.CodeInvalid, Message: fmt.Sprintf("%s has %d problems", file, len(list)),
		Err: &problems{file, list},
	}
}
