package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// a part says how a type of resource on either side becomes settings of a resource
// in the model. Where one side has several types for what the other has one, each
// is a part of its own, and their settings come together under one name.
type part struct {
	what             string // the first word of the resource's name in the model
	template, module side
	rows             []row
}

// a side is what a part is in a template or in a module.
type side struct {
	kind string // the type of resource; empty if this side has none
	// name is that of the resource in the model, without its first word.
	name func(r *reading, s *settings) string
	// more returns settings that are no rows.
	more func(r *reading, s *settings) (Fields, error)
	// left are settings that the other side has no counterpart of, or none that
	// matters.
	left []string
}

// a row is a setting that both sides have as one value. An empty path is none.
type row struct {
	field            string
	template, module string // paths
	// absent is what AWS takes if the setting is left out.
	absent string
}

// a resource is one that was found on a side, under the name that it has there.
type resource struct {
	id, kind string
	settings *settings
}

// a reading makes a model of the resources of one side.
type reading struct {
	side     func(part) side
	path     func(row) string
	found    []resource
	model    Model
	function map[string]string // the name of the function that has a role
}

func (r *reading) read() (Model, error) {
	r.function = map[string]string{}
	for _, f := range r.found {
		switch f.kind {
		case "AWS::Lambda::Function":
			r.function[f.settings.text("Role")] = f.settings.text("FunctionName")
		case "aws_lambda_function":
			r.function[f.settings.text("role")] = f.settings.text("function_name")
		}
	}
	// An output that is a role is that of the same function on both sides.
	for _, fields := range r.model {
		if name := r.function[fields["value"]]; name != "" {
			fields["value"] = "role of " + name
		}
	}
	for _, f := range r.found {
		at := slices.IndexFunc(parts, func(p part) bool { return r.side(p).kind == f.kind })
		if at < 0 {
			return nil, fmt.Errorf("%s: how to compare the type %s is not known here", f.id, f.kind)
		}
		if err := r.take(parts[at], f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.id, err)
		}
	}
	return r.model, nil
}

func (r *reading) take(p part, f resource) error {
	side, fields := r.side(p), Fields{}
	for _, row := range p.rows {
		if path := r.path(row); path != "" {
			fields[row.field] = f.settings.text(strings.Split(path, ".")...)
			if fields[row.field] == "" {
				fields[row.field] = row.absent
			}
		}
	}
	if side.more != nil {
		more, err := side.more(r, f.settings)
		if err != nil {
			return err
		}
		for field, value := range more {
			fields[field] = value
		}
	}
	name := strings.TrimSpace(p.what + " " + side.name(r, f.settings))
	for _, left := range side.left {
		f.settings.value(strings.Split(left, ".")...)
	}
	if paths := f.settings.unseen(); len(paths) > 0 {
		return fmt.Errorf("sets %s, which is not compared", strings.Join(paths, " and "))
	}
	return r.model.merge(name, present(fields))
}

func (r *reading) role(arn string) string {
	if name := r.function[arn]; name != "" {
		return name
	}
	return "nobody: " + arn
}

// Evaluate computes the module's resources with the variables that are given and
// the defaults of others.
func (m *Module) Evaluate(given map[string]cty.Value) (Model, error) {
	instances, outputs, err := m.evaluate(given)
	if err != nil {
		return nil, err
	}
	r := &reading{
		side: func(p part) side { return p.module }, path: func(row row) string { return row.module }, model: Model{},
	}
	for _, in := range instances {
		r.found = append(r.found, resource{in.String() + in.key, in.kind, newSettings(in.values)})
	}
	for name, v := range outputs {
		if !v.IsNull() {
			r.model["output "+name] = Fields{"value": text(v)}
		}
	}
	return r.read()
}

// path names a resource by a setting.
func path(keys ...string) func(*reading, *settings) string {
	return func(_ *reading, s *settings) string { return s.text(keys...) }
}
