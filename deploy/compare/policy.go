package compare

import (
	"encoding/json"
	"fmt"
)

// grantsOf are the fields of a policy document: one for each action on each
// resource, so that a difference names both.
func grantsOf(document any) (Fields, error) {
	statements, err := statementsOf(document)
	if err != nil {
		return nil, err
	}
	fields := Fields{}
	for _, s := range statements {
		effect := asText(s["Effect"])
		for key := range s {
			switch key {
			case "Sid", "Effect", "Action", "Resource", "Principal", "Condition":
			default:
				return nil, fmt.Errorf("a statement of a policy has %s, which the comparison does not know", key)
			}
		}
		suffix := ""
		if p := s["Principal"]; p != nil {
			suffix += " by " + asText(p)
		}
		if c := s["Condition"]; c != nil {
			suffix += " if " + asText(c)
		}
		resources := many(s["Resource"])
		if len(resources) == 0 {
			resources = []any{"it"}
		}
		for _, action := range many(s["Action"]) {
			for _, resource := range resources {
				fields[asText(action)+" on "+asText(resource)+suffix] = effect
			}
		}
	}
	return fields, nil
}

func statementsOf(document any) (statements []map[string]any, err error) {
	if text, is := document.(string); is {
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			return nil, fmt.Errorf("a policy is no JSON: %w", err)
		}
	}
	object, _ := document.(map[string]any)
	if asText(object["Version"]) != "2012-10-17" {
		return nil, fmt.Errorf("a policy has the version %q, not 2012-10-17", asText(object["Version"]))
	}
	for _, s := range many(object["Statement"]) {
		statement, is := s.(map[string]any)
		if !is {
			return nil, fmt.Errorf("a policy has a statement that is no object: %v", s)
		}
		statements = append(statements, statement)
	}
	return statements, nil
}

// many is a list, or a list of what is one.
func many(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}
