package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// A Schema says which arguments a Terraform provider's resources take.
type Schema struct {
	Origin string // where it was taken from
	// Resources are by type; those of data start with "data.".
	Resources map[string]*SchemaBlock
}

// A SchemaBlock is a resource, or a block in one.
type SchemaBlock struct {
	// Min and Max are how often a nested block may be there; a Max of 0 is no limit.
	Min        int                     `json:",omitempty"`
	Max        int                     `json:",omitempty"`
	Attributes map[string]SchemaAttr   `json:",omitempty"`
	Blocks     map[string]*SchemaBlock `json:",omitempty"`
}

// A SchemaAttr is an argument, or what the provider adds.
type SchemaAttr struct {
	Is   string          // required, optional or computed; deprecated if it should not be used
	Type json.RawMessage // as Terraform writes types: "string", ["list","string"]
}

// providerBlock is a block as terraform providers schema -json writes it.
type providerBlock struct {
	Attributes map[string]struct {
		Type                           json.RawMessage
		Required, Optional, Deprecated bool
	}
	BlockTypes map[string]struct {
		Block    providerBlock
		MinItems int `json:"min_items"`
		MaxItems int `json:"max_items"`
	} `json:"block_types"`
}

// ExtractSchema takes the types out of what terraform providers schema -json
// wrote.
func ExtractSchema(full io.Reader, origin string, types []string) (*Schema, error) {
	type resources map[string]struct{ Block providerBlock }
	var all struct {
		Schemas map[string]struct {
			Resources resources `json:"resource_schemas"`
			Data      resources `json:"data_source_schemas"`
		} `json:"provider_schemas"`
	}
	if err := json.NewDecoder(full).Decode(&all); err != nil {
		return nil, fmt.Errorf("this is no output of terraform providers schema -json: %w", err)
	}
	s := &Schema{Origin: origin, Resources: map[string]*SchemaBlock{}}
	for _, provider := range all.Schemas {
		for name, r := range provider.Resources {
			s.Resources[name] = r.Block.extract()
		}
		for name, r := range provider.Data {
			s.Resources["data."+name] = r.Block.extract()
		}
	}
	maps.DeleteFunc(s.Resources, func(name string, _ *SchemaBlock) bool { return !slices.Contains(types, name) })
	for _, name := range types {
		if s.Resources[name] == nil {
			return nil, fmt.Errorf("the provider has no %s", name)
		}
	}
	return s, nil
}

func (b providerBlock) extract() *SchemaBlock {
	out := &SchemaBlock{Attributes: map[string]SchemaAttr{}, Blocks: map[string]*SchemaBlock{}}
	for name, a := range b.Attributes {
		is := "computed"
		switch {
		case a.Deprecated:
			is = "deprecated"
		case a.Required:
			is = "required"
		case a.Optional:
			is = "optional"
		}
		out.Attributes[name] = SchemaAttr{is, a.Type}
	}
	for name, nested := range b.BlockTypes {
		block := nested.Block.extract()
		block.Min, block.Max = nested.MinItems, nested.MaxItems
		out.Blocks[name] = block
	}
	return out
}

// check returns what is wrong with the values of a resource or a block.
func (b *SchemaBlock) check(values map[string]cty.Value) (problems []error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		if nested := b.Blocks[name]; nested != nil {
			if err := nested.checkCount(name, v.LengthInt()); err != nil {
				problems = append(problems, err)
			}
			for it := v.ElementIterator(); it.Next(); {
				_, within := it.Element()
				for _, err := range nested.check(within.AsValueMap()) {
					problems = append(problems, fmt.Errorf("%s: %w", name, err))
				}
			}
			continue
		}
		if err := b.Attributes[name].check(v); err != nil {
			problems = append(problems, fmt.Errorf("%s %w", name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Attributes)) {
		if _, set := values[name]; b.Attributes[name].Is == "required" && !set {
			problems = append(problems, fmt.Errorf("lacks %s", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Blocks)) {
		if _, set := values[name]; b.Blocks[name].Min > 0 && !set {
			problems = append(problems, fmt.Errorf("lacks the block %s", name))
		}
	}
	return problems
}

func (b *SchemaBlock) checkCount(name string, n int) error {
	if n < b.Min || b.Max > 0 && n > b.Max {
		return fmt.Errorf("%s is there %d times; it may be %d to %d", name, n, b.Min, b.Max)
	}
	return nil
}

func (a SchemaAttr) check(v cty.Value) error {
	switch a.Is {
	case "":
		return errors.New("is no argument")
	case "computed":
		return errors.New("is set by the provider only")
	case "deprecated":
		return errors.New("is deprecated")
	}
	kind, err := ctyjson.UnmarshalType(a.Type)
	if err != nil {
		return fmt.Errorf("has a type in the schema that is none: %w", err)
	}
	if v.IsNull() && a.Is == "required" {
		return errors.New("is required, and null")
	}
	if _, err := convert.Convert(v, kind); err != nil {
		return fmt.Errorf("has the wrong type: %w", err)
	}
	return nil
}
