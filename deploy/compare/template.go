package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// a template is a CloudFormation template whose functions are evaluated when
// somebody asks for what they stand for.
type template struct {
	Resources map[string]templateResource
	Outputs   map[string]struct{ Value any }

	evaluated map[string]*settings
	under     map[string]bool
}

type templateResource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string
	Condition      string
}

func parseTemplate(text []byte) (*template, error) {
	t := &template{evaluated: map[string]*settings{}, under: map[string]bool{}}
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("the template is no JSON: %w", err)
	}
	if len(t.Resources) == 0 {
		return nil, errors.New("the template has no resources")
	}
	return t, nil
}

// properties are those of a resource, with its deletion policy as one of them.
func (t *template) properties(id string) (*settings, error) {
	if s := t.evaluated[id]; s != nil {
		return s, nil
	}
	r, is := t.Resources[id]
	if !is {
		return nil, fmt.Errorf("there is no resource %s", id)
	}
	if r.Condition != "" {
		return nil, fmt.Errorf("%s has a condition, which can't be compared", id)
	}
	if t.under[id] {
		return nil, fmt.Errorf("%s needs itself", id)
	}
	t.under[id] = true
	defer delete(t.under, id)
	v, err := t.value(map[string]any(r.Properties))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	properties, _ := v.(map[string]any)
	if r.DeletionPolicy != "" {
		properties["DeletionPolicy"] = r.DeletionPolicy
	}
	t.evaluated[id] = newSettings(properties)
	return t.evaluated[id], nil
}

// value evaluates the functions in v.
func (t *template) value(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = t.value(v[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return t.call(name, argument)
				}
			}
		}
		object := map[string]any{}
		for name, within := range v {
			var err error
			if object[name], err = t.value(within); err != nil {
				return nil, err
			}
		}
		return object, nil
	}
	return v, nil
}

func (t *template) call(function string, argument any) (any, error) {
	list, _ := argument.([]any)
	switch function {
	case "Ref":
		return t.reference(asText(argument), "")
	case "Fn::GetAtt":
		if id, attribute, is := strings.Cut(asText(argument), "."); is && list == nil {
			return t.reference(id, attribute)
		}
		if len(list) == 2 {
			return t.reference(asText(list[0]), asText(list[1]))
		}
	case "Fn::Sub":
		if list == nil {
			return t.substitute(asText(argument), nil)
		}
		if len(list) == 2 {
			with, err := t.value(list[1])
			if err != nil {
				return nil, err
			}
			values, _ := with.(map[string]any)
			return t.substitute(asText(list[0]), values)
		}
	case "Fn::Join":
		if len(list) == 2 {
			v, err := t.value(list[1])
			if err != nil {
				return nil, err
			}
			var parts []string
			for _, part := range many(v) {
				parts = append(parts, asText(part))
			}
			return strings.Join(parts, asText(list[0])), nil
		}
	}
	return nil, fmt.Errorf("%s of %v can't be compared", function, argument)
}

func (t *template) reference(id, name string) (any, error) {
	if strings.HasPrefix(id, "AWS::") && name == "" {
		return "${" + id + "}", nil
	}
	properties, err := t.properties(id)
	if err != nil {
		return nil, err
	}
	is, ok := attribute(id, t.Resources[id].Type, name, properties)
	if !ok {
		return nil, fmt.Errorf("what %s.%s is, which is of the type %s, is not known here", id, name, t.Resources[id].Type)
	}
	return is, nil
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

func (t *template) substitute(text string, with map[string]any) (any, error) {
	var errs []error
	text = placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := placeholder.FindStringSubmatch(found)[1]
		if literal, is := strings.CutPrefix(name, "!"); is {
			return "${" + literal + "}"
		}
		if v, is := with[name]; is {
			return asText(v)
		}
		id, attribute, _ := strings.Cut(name, ".")
		v, err := t.reference(id, attribute)
		if err != nil {
			errs = append(errs, err)
		}
		return asText(v)
	})
	return text, errors.Join(errs...)
}

// ReadTemplate evaluates a CloudFormation template.
func ReadTemplate(text []byte) (Model, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return nil, err
	}
	r := &reading{
		side: func(p part) side { return p.template }, path: func(row row) string { return row.template }, model: Model{},
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		properties, err := t.properties(id)
		if err != nil {
			return nil, err
		}
		if t.Resources[id].Type == "AWS::IAM::Role" {
			properties.values[templateID] = id
		}
		r.found = append(r.found, resource{id, t.Resources[id].Type, properties})
	}
	for name, output := range t.Outputs {
		v, err := t.value(output.Value)
		if err != nil {
			return nil, fmt.Errorf("the output %s: %w", name, err)
		}
		r.model["output "+snake(name)] = Fields{"value": asText(v)}
	}
	return r.read()
}

var inner = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// snake is a name of CloudFormation's as Terraform writes such.
func snake(name string) string {
	return strings.ToLower(inner.ReplaceAllString(name, "${1}_${2}"))
}
