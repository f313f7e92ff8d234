package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Types are the types of the module's resources, sorted; those of data start with
// "data.".
func (m *Module) Types() []string {
	kinds := map[string]bool{}
	for at := range m.resources {
		kinds[at.kind] = true
	}
	return slices.Sorted(maps.Keys(kinds))
}

// Problems lists what is wrong with the module: references to what is not
// declared, declarations that nothing refers to, variables and outputs without a
// description or a type, and, with the variables that are given, arguments that
// the provider's resources do not take, lack, or take in another type.
func (m *Module) Problems(schema *Schema, given map[string]cty.Value) []string {
	w := walk{module: m, schema: schema, used: map[string]bool{}}
	for name, v := range m.Variables {
		if v.Description == "" || v.block.Body.Attributes["type"] == nil {
			w.say("var.%s has no description or no type", name)
		}
		w.body(v.block.Body, v.block)
	}
	for name, block := range m.Outputs {
		if block.Body.Attributes["description"] == nil {
			w.say("output.%s has no description", name)
		}
		w.body(block.Body, block)
	}
	for _, expr := range m.locals {
		w.expression(expr, nil)
	}
	for _, block := range m.resources {
		w.body(block.Body, block)
	}
	w.unused()
	if len(w.problems) == 0 {
		w.arguments(given)
	}
	slices.Sort(w.problems)
	return w.problems
}

// a walk goes through all expressions of a module.
type walk struct {
	module   *Module
	schema   *Schema
	used     map[string]bool
	problems []string
}

func (w *walk) say(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

func (w *walk) body(body *hclsyntax.Body, in *hclsyntax.Block) {
	for name, a := range body.Attributes {
		// A variable's type is no expression.
		if in.Type != "variable" || name != "type" {
			w.expression(a.Expr, in)
		}
	}
	for _, block := range body.Blocks {
		w.body(block.Body, in)
	}
}

func (w *walk) expression(expr hcl.Expression, in *hclsyntax.Block) {
	for _, t := range expr.Variables() {
		root, name := t.RootName(), ""
		if len(t) > 1 {
			if attr, is := t[1].(hcl.TraverseAttr); is {
				name = attr.Name
			}
		}
		own := func(argument string) bool { return in != nil && in.Body.Attributes[argument] != nil }
		switch {
		case root == "var" && w.module.Variables[name] != nil,
			root == "local" && w.module.locals[name] != nil:
			// A variable is not used by its own validation.
			if in == nil || in.Type != "variable" || in.Labels[0] != name {
				w.used[root+"."+name] = true
			}
		case root == "each" && own("for_each"), root == "count" && own("count"), root == "path":
		case root == "var", root == "local", root == "each", root == "count":
			w.say("%s: %s.%s is not declared", t.SourceRange(), root, name)
		default:
			w.resource(t)
		}
	}
}

func (w *walk) resource(t hcl.Traversal) {
	at, ok := addressOf(t)
	if !ok || w.module.resources[at] == nil {
		w.say("%s: %s is not declared", t.SourceRange(), at)
		return
	}
	w.used[at.String()] = true
	rest := t[2:]
	if strings.HasPrefix(at.kind, "data.") {
		rest = t[3:]
	}
	for _, step := range rest {
		if attr, is := step.(hcl.TraverseAttr); is {
			if s := w.schema.Resources[at.kind]; s != nil && s.Attributes[attr.Name].Is == "" && s.Blocks[attr.Name] == nil {
				w.say("%s: %s has no attribute %s", t.SourceRange(), at, attr.Name)
			}
			return
		}
	}
}

func (w *walk) unused() {
	var names []string
	for name := range w.module.Variables {
		names = append(names, "var."+name)
	}
	for name := range w.module.locals {
		names = append(names, "local."+name)
	}
	for at := range w.module.resources {
		if strings.HasPrefix(at.kind, "data.") {
			names = append(names, at.String())
		}
	}
	for _, name := range names {
		if !w.used[name] {
			w.say("nothing refers to %s", name)
		}
	}
}

// arguments checks what the module's resources are given.
func (w *walk) arguments(given map[string]cty.Value) {
	instances, _, err := w.module.evaluate(given)
	if err != nil {
		w.say("%v", err)
		return
	}
	for _, in := range instances {
		s := w.schema.Resources[in.kind]
		if s == nil {
			w.say("%s: the schema has no type %s", in.address, in.kind)
			continue
		}
		for _, err := range s.check(in.object.AsValueMap()) {
			w.say("%s: %v", in.address, err)
		}
	}
}

// ModuleProblems lists what is wrong with a root module's calls of the modules
// that are given by their sources: arguments that a module does not take or lacks,
// and outputs that it does not have.
func (m *Module) ModuleProblems(modules map[string]*Module) (problems []string) {
	called := map[string]*Module{}
	for _, block := range m.others {
		if block.Type != "module" {
			continue
		}
		source, diags := block.Body.Attributes["source"].Expr.Value(nil)
		if diags.HasErrors() || modules[source.AsString()] == nil {
			problems = append(problems, fmt.Sprintf("module.%s has a source that is not known here", block.Labels[0]))
			continue
		}
		module := modules[source.AsString()]
		called[block.Labels[0]] = module
		for name := range block.Body.Attributes {
			if module.Variables[name] == nil && !slices.Contains([]string{"source", "providers", "depends_on"}, name) {
				problems = append(problems, fmt.Sprintf("module.%s has no variable %s", block.Labels[0], name))
			}
		}
		for name, v := range module.Variables {
			if v.Default == cty.NilVal && block.Body.Attributes[name] == nil {
				problems = append(problems, fmt.Sprintf("module.%s lacks %s", block.Labels[0], name))
			}
		}
	}
	for name, output := range m.Outputs {
		for _, t := range output.Body.Attributes["value"].Expr.Variables() {
			if t.RootName() != "module" {
				continue
			}
			module, value := t[1].(hcl.TraverseAttr).Name, t[2].(hcl.TraverseAttr).Name
			if called[module] == nil || called[module].Outputs[value] == nil {
				problems = append(problems, fmt.Sprintf("output.%s: module.%s has no output %s", name, module, value))
			}
		}
	}
	slices.Sort(problems)
	return problems
}
