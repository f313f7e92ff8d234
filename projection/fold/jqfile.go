package fold

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/eb901187/annals/yamlfile"
)

// ParseExpression compiles the jq that a file holds and nothing else. what names it in
// messages, for example "the mask". In it, . and $event are the event, see Input. The
// error is an *annals.Error of CodeInvalid that says of all that is wrong in which
// line it is and what to do.
func ParseExpression(what, file string, text []byte) (*Expression, error) {
	r := reader{file: file}
	src := string(text)
	if strings.TrimSpace(src) == "" {
		r.wrong(1, "write jq into the file", "%s is empty", what)
		return nil, yamlfile.Err(file, r.problems)
	}
	// As a literal, its lines are those of the file.
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: src, Style: yaml.LiteralStyle}
	x := &Expression{program: r.expression(n, what, true, standardLimits)}
	if len(r.problems) > 0 {
		return nil, yamlfile.Err(file, r.problems)
	}
	return x, nil
}
