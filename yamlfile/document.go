package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// ErrEmpty and ErrSeveral are why a text that is YAML is not one document.
var (
	ErrEmpty   = errors.New("the file is empty")
	ErrSeveral = errors.New("a second document begins")
)

// A DocumentError says why and where a text is not one document.
type DocumentError struct {
	Line int   // from 1 on
	Err  error // ErrEmpty, ErrSeveral, or what is wrong with the YAML, without its line
}

func (e *DocumentError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *DocumentError) Unwrap() error { return e.Err }

// Document reads the one document of a text and returns what it holds; comments alone
// are none. The error is a *DocumentError. Document is safe for concurrent use.
func Document(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, next yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, &DocumentError{1, ErrEmpty}
	} else if err != nil {
		return nil, broken(err)
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		return nil, &DocumentError{max(next.Line, 1), ErrSeveral}
	case !errors.Is(err, io.EOF):
		return nil, broken(err)
	}
	return document.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// broken takes the line out of the text of a parser's error, which has it nowhere else.
func broken(err error) *DocumentError {
	line, message := 1, err.Error()
	if match := yamlLine.FindStringSubmatch(message); match != nil {
		line, _ = strconv.Atoi("0" + match[1])
		message = message[len(match[0]):]
	}
	return &DocumentError{max(line, 1), errors.New(message)}
}

// Resolved is the node that n stands for: n itself, unless it is an alias.
func Resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
