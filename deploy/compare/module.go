package compare

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A Module is a parsed Terraform module.
type Module struct {
	// Sources are the module's files by name.
	Sources   map[string][]byte
	Variables map[string]*Variable
	Outputs   map[string]*hclsyntax.Block

	locals    map[string]hcl.Expression
	resources map[address]*hclsyntax.Block
	others    []*hclsyntax.Block // terraform, provider
}

// A Variable is one that a module takes.
type Variable struct {
	Type        cty.Type
	Default     cty.Value // cty.NilVal if it must be given
	Description string
	block       *hclsyntax.Block
	defaults    *typeexpr.Defaults
}

// an address names a resource, or a source of data, which starts with "data.".
type address struct{ kind, name string }

func (a address) String() string { return a.kind + "." + a.name }

// ReadFiles returns the .tf files of a directory by name.
func ReadFiles(dir string) (map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there is no .tf file in %s", dir)
	}
	return files, nil
}

// ParseModule parses the files of a module.
func ParseModule(files map[string][]byte) (*Module, error) {
	m := &Module{
		Sources: files, Variables: map[string]*Variable{}, Outputs: map[string]*hclsyntax.Block{},
		locals: map[string]hcl.Expression{}, resources: map[address]*hclsyntax.Block{},
	}
	for name, text := range files {
		file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
		if diags.HasErrors() {
			return nil, diags
		}
		body := file.Body.(*hclsyntax.Body)
		for attribute := range body.Attributes {
			return nil, fmt.Errorf("%s: %s stands outside of a block", name, attribute)
		}
		for _, block := range body.Blocks {
			if err := m.take(block); err != nil {
				return nil, fmt.Errorf("%s: %w", block.DefRange(), err)
			}
		}
	}
	return m, nil
}

func (m *Module) take(block *hclsyntax.Block) error {
	twice := func(name string) error { return fmt.Errorf("%s is there twice", name) }
	switch block.Type {
	case "variable":
		if m.Variables[block.Labels[0]] != nil {
			return twice("variable " + block.Labels[0])
		}
		v, err := parseVariable(block)
		m.Variables[block.Labels[0]] = v
		return err
	case "output":
		if m.Outputs[block.Labels[0]] != nil {
			return twice("output " + block.Labels[0])
		}
		m.Outputs[block.Labels[0]] = block
	case "locals":
		for name, attribute := range block.Body.Attributes {
			if m.locals[name] != nil {
				return twice("local." + name)
			}
			m.locals[name] = attribute.Expr
		}
	case "resource", "data":
		at := address{block.Labels[0], block.Labels[1]}
		if block.Type == "data" {
			at.kind = "data." + at.kind
		}
		if m.resources[at] != nil {
			return twice(at.String())
		}
		m.resources[at] = block
	case "terraform", "provider", "module":
		m.others = append(m.others, block)
	default:
		return fmt.Errorf("a block of the type %s is not known here", block.Type)
	}
	return nil
}

func parseVariable(block *hclsyntax.Block) (*Variable, error) {
	v := &Variable{Type: cty.DynamicPseudoType, block: block}
	attributes := block.Body.Attributes
	if a := attributes["description"]; a != nil {
		text, diags := a.Expr.Value(nil)
		if diags.HasErrors() {
			return nil, diags
		}
		v.Description = text.AsString()
	}
	if a := attributes["type"]; a != nil {
		kind, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
		if diags.HasErrors() {
			return nil, diags
		}
		v.Type, v.defaults = kind, defaults
	}
	if a := attributes["default"]; a != nil {
		value, diags := a.Expr.Value(nil)
		if diags.HasErrors() {
			return nil, diags
		}
		var err error
		if v.Default, err = v.convert(value); err != nil {
			return nil, fmt.Errorf("the default of %s: %w", block.Labels[0], err)
		}
	}
	return v, nil
}

// addressOf returns the address of the resource that a traversal starts with; ok
// is false if it names none.
func addressOf(t hcl.Traversal) (at address, ok bool) {
	kind := t.RootName()
	if kind == "data" {
		if len(t) < 3 {
			return address{}, false
		}
		second, is := t[1].(hcl.TraverseAttr)
		third, isToo := t[2].(hcl.TraverseAttr)
		return address{"data." + second.Name, third.Name}, is && isToo
	}
	if !strings.Contains(kind, "_") || len(t) < 2 {
		return address{}, false
	}
	second, is := t[1].(hcl.TraverseAttr)
	return address{kind, second.Name}, is
}
