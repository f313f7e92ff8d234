package projection

import (
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/view"
)

// Parse reads a projection with folds in jq from text, whose form package fold
// describes; file is its name, for messages. Its revision follows from what the
// text means: comments and layout don't change it.
func Parse(file string, text []byte) (*Projection, error) {
	d, err := fold.Parse(file, text)
	if err != nil {
		return nil, err
	}
	return ofDefinition(d)
}

// Load reads every file of dir that ends in .yaml or .yml.
func Load(dir string) ([]*Projection, error) {
	definitions, err := fold.Load(dir)
	if err != nil {
		return nil, err
	}
	all := make([]*Projection, len(definitions))
	for i, d := range definitions {
		if all[i], err = ofDefinition(d); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func ofDefinition(d *fold.Definition) (*Projection, error) {
	if d.Name == StateName {
		return nil, &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("%s:1: the name %s is that of the built-in projection", d.File, d.Name), Hint: "name it differently",
		}
	}
	return &Projection{
		name: d.Name, revision: d.Fingerprint, query: d.Query, file: d.File, text: d.Text, documents: byRules(d.Rules), rules: d.Rules,
	}, nil
}

func byRules(rules *fold.Rules) func(views view.Store, space string) consumer.Handler {
	return func(views view.Store, space string) consumer.Handler {
		return newDocuments(views, space, folder[any]{
			keys:   rules.Keys,
			decode: fold.Decode,
			encode: fold.Encode,
			fold:   func(doc *any, m *consumer.Message) (op, error) { return applyRules(rules, doc, m) },
		})
	}
}

// applyRules folds m into doc. What jq makes of an event it makes of it every
// time, so that another try would not help, but where time ran out.
func applyRules(rules *fold.Rules, doc *any, m *consumer.Message) (op, error) {
	out, what, err := rules.Apply(*doc, &m.Event, nil)
	switch {
	case annals.CodeOf(err) == annals.CodeTimeout:
		return keep, err
	case err != nil:
		return keep, consumer.Permanent(err)
	case what == fold.Put:
		*doc = out
		return put, nil
	case what == fold.Delete:
		return remove, nil
	}
	return keep, nil
}
