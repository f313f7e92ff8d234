package compare

import (
	"errors"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are those of Terraform's that the module may use.
var functions = map[string]function.Function{
	"alltrue":          allTrue,
	"can":              tryfunc.CanFunc,
	"coalesce":         stdlib.CoalesceFunc,
	"concat":           stdlib.ConcatFunc,
	"contains":         stdlib.ContainsFunc,
	"filebase64sha256": hash,
	"floor":            stdlib.FloorFunc,
	"jsonencode":       stdlib.JSONEncodeFunc,
	"keys":             stdlib.KeysFunc,
	"length":           stdlib.LengthFunc,
	"lower":            stdlib.LowerFunc,
	"merge":            stdlib.MergeFunc,
	"one":              one,
	"regex":            stdlib.RegexFunc,
	"replace":          stdlib.ReplaceFunc,
	"setintersection":  stdlib.SetIntersectionFunc,
	"setproduct":       stdlib.SetProductFunc,
	"startswith":       startsWith,
	"substr":           stdlib.SubstrFunc,
	"title":            stdlib.TitleFunc,
	"toset":            stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
}

var allTrue = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		for it := args[0].ElementIterator(); it.Next(); {
			if _, v := it.Element(); v.IsNull() || v.False() {
				return cty.False, nil
			}
		}
		return cty.True, nil
	},
})

var startsWith = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "prefix", Type: cty.String}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.BoolVal(strings.HasPrefix(args[0].AsString(), args[1].AsString())), nil
	},
})

// one returns the only element of a list, null of an empty one.
var one = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		if args[0].LengthInt() > 1 {
			return cty.NilType, errors.New("one takes a list of at most one element")
		}
		for it := args[0].ElementIterator(); it.Next(); {
			_, v := it.Element()
			return v.Type(), nil
		}
		return cty.DynamicPseudoType, nil
	},
	Impl: func(args []cty.Value, kind cty.Type) (cty.Value, error) {
		for it := args[0].ElementIterator(); it.Next(); {
			_, v := it.Element()
			return v, nil
		}
		return cty.NullVal(kind), nil
	},
})

// hash stands for that of a file, which need not be there.
var hash = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "path", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.StringVal("the hash of " + args[0].AsString()), nil
	},
})
