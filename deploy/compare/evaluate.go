package compare

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// an evaluation computes the values of a module, each when it is first asked for.
type evaluation struct {
	module    *Module
	given     map[string]cty.Value
	locals    map[string]cty.Value
	resources map[address]cty.Value
	under     map[string]bool // what is being computed, to find cycles
}

// an instance is one resource that a block makes.
type instance struct {
	address
	key    string // of for_each or count; "" without them
	object cty.Value
	values map[string]any // the object as JSON has it
}

// convert makes of a value what the variable's type says.
func (v *Variable) convert(value cty.Value) (cty.Value, error) {
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	return convert.Convert(value, v.Type)
}

// evaluate computes all instances of the module's resources, with the variables
// that are given and the defaults of others.
func (m *Module) evaluate(given map[string]cty.Value) (all []instance, outputs map[string]cty.Value, err error) {
	e := &evaluation{
		module: m, given: given, locals: map[string]cty.Value{}, resources: map[address]cty.Value{}, under: map[string]bool{},
	}
	for name := range given {
		if m.Variables[name] == nil {
			return nil, nil, fmt.Errorf("the module has no variable %s", name)
		}
	}
	if err := e.checkVariables(); err != nil {
		return nil, nil, err
	}
	for _, at := range slices.SortedFunc(maps.Keys(m.resources), func(a, b address) int { return cmp.Compare(a.String(), b.String()) }) {
		if _, err := e.resource(at); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", at, err)
		}
		if m.resources[at].Type == "data" {
			continue
		}
		instances, err := e.instances(at)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", at, err)
		}
		all = append(all, instances...)
	}
	outputs = map[string]cty.Value{}
	for name, block := range m.Outputs {
		if outputs[name], err = e.value(block.Body.Attributes["value"].Expr, nil); err != nil {
			return nil, nil, fmt.Errorf("output.%s: %w", name, err)
		}
	}
	return all, outputs, nil
}

// checkVariables applies the validations of all variables.
func (e *evaluation) checkVariables() error {
	for _, name := range slices.Sorted(maps.Keys(e.module.Variables)) {
		for _, block := range e.module.Variables[name].block.Body.Blocks {
			ok, err := e.value(block.Body.Attributes["condition"].Expr, nil)
			if err != nil {
				return fmt.Errorf("the validation of var.%s: %w", name, err)
			}
			if ok.False() {
				message, err := e.value(block.Body.Attributes["error_message"].Expr, nil)
				if err != nil {
					return err
				}
				return fmt.Errorf("var.%s: %s", name, message.AsString())
			}
		}
	}
	return nil
}

// value computes an expression; own holds each or count of the resource that it
// is in.
func (e *evaluation) value(expr hcl.Expression, own map[string]cty.Value) (cty.Value, error) {
	var vars, locals, data map[string]cty.Value
	scope := map[string]cty.Value{}
	maps.Copy(scope, own)
	set := func(m *map[string]cty.Value, key string, v cty.Value) {
		if *m == nil {
			*m = map[string]cty.Value{}
		}
		(*m)[key] = v
	}
	kinds := map[string]map[string]cty.Value{}
	for _, t := range expr.Variables() {
		var err error
		var v cty.Value
		switch root := t.RootName(); root {
		case "each", "count", "path":
		case "var", "local":
			name := t[1].(hcl.TraverseAttr).Name
			if root == "var" {
				v, err = e.variable(name)
				set(&vars, name, v)
			} else {
				v, err = e.local(name)
				set(&locals, name, v)
			}
		default:
			at, ok := addressOf(t)
			if !ok {
				return cty.NilVal, fmt.Errorf("%s: %s names nothing", t.SourceRange(), root)
			}
			if v, err = e.resource(at); err != nil {
				break
			}
			kind := kinds[at.kind]
			set(&kind, at.name, v)
			kinds[at.kind] = kind
		}
		if err != nil {
			return cty.NilVal, err
		}
	}
	for kind, byName := range kinds {
		if source, is := strings.CutPrefix(kind, "data."); is {
			set(&data, source, cty.ObjectVal(byName))
		} else {
			scope[kind] = cty.ObjectVal(byName)
		}
	}
	for root, values := range map[string]map[string]cty.Value{"var": vars, "local": locals, "data": data} {
		if values != nil {
			scope[root] = cty.ObjectVal(values)
		}
	}
	v, diags := expr.Value(&hcl.EvalContext{Variables: scope, Functions: functions})
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return v, nil
}

func (e *evaluation) variable(name string) (cty.Value, error) {
	v := e.module.Variables[name]
	if v == nil {
		return cty.NilVal, fmt.Errorf("var.%s is not declared", name)
	}
	if given, is := e.given[name]; is {
		return v.convert(given)
	}
	if v.Default == cty.NilVal {
		return cty.NilVal, fmt.Errorf("var.%s must be given", name)
	}
	return v.Default, nil
}

// once computes what is called name unless that goes on already.
func (e *evaluation) once(name string, compute func() (cty.Value, error)) (cty.Value, error) {
	if e.under[name] {
		return cty.NilVal, fmt.Errorf("%s needs itself", name)
	}
	e.under[name] = true
	defer delete(e.under, name)
	return compute()
}

func (e *evaluation) local(name string) (cty.Value, error) {
	if v, known := e.locals[name]; known {
		return v, nil
	}
	expr := e.module.locals[name]
	if expr == nil {
		return cty.NilVal, fmt.Errorf("local.%s is not declared", name)
	}
	v, err := e.once("local."+name, func() (cty.Value, error) { return e.value(expr, nil) })
	if err != nil {
		return cty.NilVal, err
	}
	e.locals[name] = v
	return v, nil
}

// resource returns what a reference to a resource sees: an object, a list of them
// under count, or a map under for_each.
func (e *evaluation) resource(at address) (cty.Value, error) {
	if v, known := e.resources[at]; known {
		return v, nil
	}
	block := e.module.resources[at]
	if block == nil {
		return cty.NilVal, fmt.Errorf("%s is not declared", at)
	}
	v, err := e.once(at.String(), func() (cty.Value, error) {
		keys, counted, err := e.keys(block)
		if err != nil {
			return cty.NilVal, err
		}
		if keys == nil {
			return e.object(at, block, nil)
		}
		var list []cty.Value
		byKey := map[string]cty.Value{}
		for _, k := range keys {
			v, err := e.object(at, block, k.scope)
			if err != nil {
				return cty.NilVal, err
			}
			list, byKey[k.name] = append(list, v), v
		}
		if counted {
			return cty.TupleVal(list), nil
		}
		return cty.ObjectVal(byKey), nil
	})
	if err != nil {
		return cty.NilVal, err
	}
	e.resources[at] = v
	return v, nil
}

// a key is that of one instance, and what its expressions see of it.
type key struct {
	name  string
	scope map[string]cty.Value
}

// keys are those of a block's instances; nil without count and for_each.
func (e *evaluation) keys(block *hclsyntax.Block) (keys []key, counted bool, err error) {
	if a := block.Body.Attributes["count"]; a != nil {
		n, err := e.value(a.Expr, nil)
		if err != nil {
			return nil, true, err
		}
		count, _ := n.AsBigFloat().Int64()
		keys = []key{}
		for i := range count {
			index := cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(i)})
			keys = append(keys, key{fmt.Sprint(i), map[string]cty.Value{"count": index}})
		}
		return keys, true, nil
	}
	a := block.Body.Attributes["for_each"]
	if a == nil {
		return nil, false, nil
	}
	all, err := e.value(a.Expr, nil)
	if err != nil {
		return nil, false, err
	}
	if t := all.Type(); !t.IsSetType() && !t.IsMapType() && !t.IsObjectType() {
		return nil, false, fmt.Errorf("for_each takes a set or a map, not %s", t.FriendlyName())
	}
	keys = []key{}
	for it := all.ElementIterator(); it.Next(); {
		name, value := it.Element()
		if all.Type().IsSetType() {
			name = value
		}
		each := cty.ObjectVal(map[string]cty.Value{"key": name, "value": value})
		keys = append(keys, key{name.AsString(), map[string]cty.Value{"each": each}})
	}
	return keys, false, nil
}

// object computes one instance: its arguments, its blocks as lists, and what AWS
// would add.
func (e *evaluation) object(at address, block *hclsyntax.Block, scope map[string]cty.Value) (cty.Value, error) {
	values, err := e.body(block.Body, scope)
	if err != nil {
		return cty.NilVal, err
	}
	for name, text := range added(at, values) {
		if v, set := values[name]; !set || v.IsNull() {
			values[name] = cty.StringVal(text)
		}
	}
	return cty.ObjectVal(values), nil
}

// metaArguments are those that Terraform itself takes of any resource.
var metaArguments = []string{"count", "for_each", "depends_on", "provider"}

func (e *evaluation) body(body *hclsyntax.Body, scope map[string]cty.Value) (map[string]cty.Value, error) {
	values := map[string]cty.Value{}
	for name, a := range body.Attributes {
		if slices.Contains(metaArguments, name) {
			continue
		}
		v, err := e.value(a.Expr, scope)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values[name] = v
	}
	lists := map[string][]cty.Value{}
	for _, b := range body.Blocks {
		if b.Type == "dynamic" || b.Type == "provisioner" {
			return nil, fmt.Errorf("%s: a block of the type %s can't be compared", b.DefRange(), b.Type)
		}
		within, err := e.body(b.Body, scope)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Type, err)
		}
		lists[b.Type] = append(lists[b.Type], cty.ObjectVal(within))
	}
	for kind, list := range lists {
		values[kind] = cty.TupleVal(list)
	}
	return values, nil
}

// instances are those of a block, without what AWS would add.
func (e *evaluation) instances(at address) (list []instance, err error) {
	block := e.module.resources[at]
	keys, _, err := e.keys(block)
	if err != nil {
		return nil, err
	}
	if keys == nil {
		keys = []key{{}}
	}
	for _, k := range keys {
		values, err := e.body(block.Body, k.scope)
		if err != nil {
			return nil, err
		}
		object := cty.ObjectVal(values)
		if !object.IsWhollyKnown() {
			return nil, errors.New("has a value that is not known")
		}
		text, err := ctyjson.Marshal(object, object.Type())
		if err != nil {
			return nil, err
		}
		in := instance{address: at, key: k.name, object: object}
		if err := json.Unmarshal(text, &in.values); err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	return list, nil
}
