package fold

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// What an event may make of a fold at most, in one step of it.
const (
	maxIndex  = 1 << 20 // of an array's element
	maxString = 1 << 20 // bytes of a repeated string
)

// Functions of ours. No fold can call them by these names.
const (
	indexFunction    = "\x00index"
	pathFunction     = "\x00path"
	formatFunction   = "\x00format"
	multiplyFunction = "\x00multiply"
)

var guards = []gojq.CompilerOption{
	gojq.WithFunction(indexFunction, 0, 0, func(v any, _ []any) any { return checkedIndex(v) }),
	gojq.WithFunction(pathFunction, 0, 0, func(v any, _ []any) any { return checkedPath(v) }),
	gojq.WithFunction(formatFunction, 0, 0, func(v any, _ []any) any { return checkedFormat(v) }),
	gojq.WithFunction(multiplyFunction, 2, 2, func(_ any, args []any) any { return multiply(args[0], args[1]) }),
}

func call(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func identity() *gojq.Query { return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}} }

func pipe(left, right *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: left, Op: gojq.OpPipe, Right: right}
}

// guardIndex has the index of an element checked, as .[500000000] = 1 would make
// an array of 8 GB. It also keeps gojq from making one constant of a slice.
func guardIndex(i *gojq.Index) {
	if i.IsSlice {
		i.Start, i.End = grouped(i.Start), grouped(i.End)
		return
	}
	if i.Start == nil || i.Start.Term != nil && i.Start.Term.Type == gojq.TermTypeString {
		return
	}
	if t := i.Start.Term; t != nil && t.Type == gojq.TermTypeNumber && len(t.SuffixList) == 0 {
		if n, err := strconv.Atoi(t.Number); err == nil && n < maxIndex {
			return
		}
	}
	i.Start = pipe(i.Start, call(indexFunction))
}

func grouped(q *gojq.Query) *gojq.Query {
	if q == nil {
		return nil
	}
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: q}}
}

// guardObject and guardArray keep gojq from making one constant of an object or
// array. It would stand in the documents of several goroutines, and gojq writes
// to what it is given: del puts every value back where it was.
func guardObject(o *gojq.Object) {
	if len(o.KeyVals) == 0 {
		return
	}
	first := o.KeyVals[0]
	if first.Key != "" && first.Key[0] != '$' && first.Val != nil {
		first.KeyString, first.Key = &gojq.String{Str: first.Key}, ""
	}
	if first.KeyString != nil && first.KeyString.Queries == nil && first.Val != nil {
		first.KeyQuery = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeString, Str: first.KeyString}}
		first.KeyString = nil
	}
}

func guardArray(a *gojq.Array) {
	if a.Query != nil {
		a.Query = pipe(identity(), a.Query)
	}
}

func guardArguments(f *gojq.Func) {
	switch {
	case f.Name == "setpath" && len(f.Args) == 2:
		f.Args[0] = pipe(f.Args[0], call(pathFunction))
	case f.Name == "strptime" && len(f.Args) == 1:
		f.Args[0] = pipe(f.Args[0], call(formatFunction))
	}
}

// guardMultiplication has * and *= bound the strings that they repeat.
func guardMultiplication(q *gojq.Query) {
	switch q.Op {
	case gojq.OpMul:
		product := call(multiplyFunction, q.Left, q.Right)
		q.Op, q.Left, q.Right, q.Term = 0, nil, nil, product.Term
	case gojq.OpUpdateMul: // l *= r is r as $factor | l |= . * $factor
		product := call(multiplyFunction, identity(), call(factorVariable))
		update := &gojq.Query{Left: q.Left, Op: gojq.OpModify, Right: product}
		q.Op, q.Left, q.Right = gojq.OpPipe, q.Right, update
		q.Patterns = []*gojq.Pattern{{Name: factorVariable}}
	}
}

func checkedIndex(v any) any {
	if i, ok := gojq.ToInt(v); ok && i >= maxIndex {
		return fmt.Errorf("array index %s is too large: the limit is %d", gojq.Preview(v), maxIndex)
	}
	return v
}

func checkedPath(v any) any {
	path, _ := v.([]any)
	for _, step := range path {
		if err, bad := checkedIndex(step).(error); bad {
			return err
		}
	}
	return v
}

// checkedFormat refuses zones by name: what they mean depends on the machine's.
func checkedFormat(v any) any {
	format, _ := v.(string)
	for i := 0; i+1 < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		if i++; format[i] == 'Z' || format[i] == '+' {
			return fmt.Errorf("strptime can't read %%%c: what the name of a zone means depends on the machine", format[i])
		}
	}
	return v
}

// multiply is jq's * with a bound on repeated strings.
func multiply(l, r any) any {
	if a, ok := l.(int); ok {
		if b, ok := r.(int); ok && b != -1 {
			if product := a * b; b == 0 || product/b == a {
				return product
			}
		}
	}
	if a, ok := decimal(l); ok {
		if b, ok := decimal(r); ok {
			return a * b
		}
	}
	if tooLong(l, r) || tooLong(r, l) {
		return fmt.Errorf("%s * %s is too long a string: the limit is %d bytes", gojq.Preview(l), gojq.Preview(r), maxString)
	}
	product, _ := plainProduct.Run([]any{l, r}).Next()
	return product
}

// plainProduct is gojq's own *, for what multiply has no short way for.
var plainProduct = func() *gojq.Code {
	q, err := gojq.Parse(".[0] * .[1]")
	if err != nil {
		panic(err)
	}
	code, err := gojq.Compile(q)
	if err != nil {
		panic(err)
	}
	return code
}()

// decimal is v as a float64, if it is a number that jq would multiply as one.
func decimal(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			f, err := v.Float64()
			return f, err == nil
		}
	}
	return 0, false
}

func tooLong(text, times any) bool {
	s, ok := text.(string)
	n, number := gojq.ToFloat64(times)
	return ok && number && n*float64(len(s)) > maxString
}
