package yamlfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// A Problem is what is wrong at a line of a file, and what to do about it.
type Problem struct {
	Line    int    // from 1 on
	Message string // what is wrong, on one line
	Hint    string // what to do; empty where the message says it
}

// At is the problem at a line, which is 1 where it is not known.
func At(line int, hint, format string, args ...any) Problem {
	return Problem{max(line, 1), fmt.Sprintf(format, args...), hint}
}

// problems of one file, as the cause of an error.
type problems struct {
	file  string
	list  []Problem
	hints bool // whether each line has its own
}

func (p *problems) Error() string {
	var b strings.Builder
	for _, one := range p.list {
		fmt.Fprintf(&b, "\n  %s:%d: %s", p.file, one.Line, one.Message)
		if p.hints && one.Hint != "" {
			b.WriteString(" (" + one.Hint + ")")
		}
	}
	return b.String()
}

// Err is the error of a file with problems, an *annals.Error of CodeInvalid; nil for
// none. One problem stands in its message; several are listed below it by line, each
// with its hint, or with one hint for all if it is the same. Err sorts a copy: list
// stays as it is.
func Err(file string, list []Problem) error {
	if len(list) == 0 {
		return nil
	}
	if len(list) == 1 {
		return &annals.Error{Code: annals.CodeInvalid, Message: fmt.Sprintf("%s:%d: %s", file, list[0].Line, list[0].Message), Hint: list[0].Hint}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Problem) int { return a.Line - b.Line })
	shared := list[0].Hint
	if slices.ContainsFunc(list, func(p Problem) bool { return p.Hint != shared }) {
		shared = ""
	}
	return &annals.Error{
		Code: annals.CodeInvalid, Message: fmt.Sprintf("%s has %d problems", file, len(list)),
		Err: &problems{file, list, shared == ""}, Hint: shared,
	}
}
