package fuzzapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Document is an OpenAPI 3.1 document, as far as requests are made and answers are
// judged by it. It does not change.
type Document struct {
	Operations []Operation // by path and method
	event      *jsonschema.Schema
	problem    *jsonschema.Schema
}

// An Operation is one method of one path.
type Operation struct {
	ID         string
	Method     string
	Path       string // with {names}
	Parameters []Parameter
	Accepts    []string // media types of its body; none if it takes none
	Role       string   // that a token needs; empty for none
	answers    map[int]map[string]*jsonschema.Schema
	events     bool // its answers of several events are of schema Event
}

// A Parameter is one of an Operation.
type Parameter struct {
	Name   string
	In     string // path, query or header
	Schema struct{ Type string }
}

type content map[string]struct {
	Schema json.RawMessage
}

type described struct {
	OperationID string
	Parameters  []Parameter
	RequestBody struct{ Content content }
	Responses   map[string]struct{ Content content }
	Security    []map[string][]string
}

const place = "openapi.json" // what the compiler calls the document

// Parse reads a document. It must define the schemas Event and Problem.
func Parse(text []byte) (*Document, error) {
	var given struct {
		OpenAPI string
		Paths   map[string]map[string]described
	}
	if err := json.Unmarshal(text, &given); err != nil || !strings.HasPrefix(given.OpenAPI, "3.1") {
		return nil, fmt.Errorf("fuzzapi: it is no OpenAPI 3.1 document, but %q: %w", given.OpenAPI, err)
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("fuzzapi: the document: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource(place, whole); err != nil {
		return nil, fmt.Errorf("fuzzapi: the document: %w", err)
	}
	d := &Document{}
	if d.event, err = compile(compiler, "components", "schemas", "Event"); err != nil {
		return nil, err
	}
	if d.problem, err = compile(compiler, "components", "schemas", "Problem"); err != nil {
		return nil, err
	}
	for path, methods := range given.Paths {
		for method, o := range methods {
			op, err := newOperation(compiler, path, method, &o)
			if err != nil {
				return nil, err
			}
			d.Operations = append(d.Operations, op)
		}
	}
	slices.SortFunc(d.Operations, func(a, b Operation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	return d, nil
}

func newOperation(compiler *jsonschema.Compiler, path, method string, o *described) (Operation, error) {
	op := Operation{ID: o.OperationID, Method: strings.ToUpper(method), Path: path, Parameters: o.Parameters, answers: map[int]map[string]*jsonschema.Schema{}}
	slices.SortFunc(op.Parameters, func(a, b Parameter) int { return cmp.Or(strings.Compare(a.In, b.In), strings.Compare(a.Name, b.Name)) })
	for media := range o.RequestBody.Content {
		op.Accepts = append(op.Accepts, media)
	}
	slices.Sort(op.Accepts)
	for _, needs := range o.Security {
		for _, roles := range needs {
			op.Role = strings.Join(roles, ",")
		}
	}
	for name, response := range o.Responses {
		status, err := strconv.Atoi(name)
		if err != nil {
			return op, fmt.Errorf("fuzzapi: %s answers %q, which is no status", op.ID, name)
		}
		op.answers[status] = map[string]*jsonschema.Schema{}
		for media, of := range response.Content {
			schema, err := compile(compiler, "paths", path, method, "responses", name, "content", media, "schema")
			if err != nil {
				return op, err
			}
			op.answers[status][media] = schema
			op.events = op.events || bytes.Contains(of.Schema, []byte("/Events\""))
		}
	}
	return op, nil
}

func compile(compiler *jsonschema.Compiler, path ...string) (*jsonschema.Schema, error) {
	for i := range path {
		path[i] = url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(path[i]))
	}
	schema, err := compiler.Compile(place + "#/" + strings.Join(path, "/"))
	if err != nil {
		return nil, fmt.Errorf("fuzzapi: the schema at %s: %w", strings.Join(path, "/"), err)
	}
	return schema, nil
}
