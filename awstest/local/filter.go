package local

import (
	"encoding/json"
	"fmt"
)

// A filter is the pattern of an event filter: objects down to lists of the values
// that are let through.
type filter map[string]any

// parseFilter takes patterns of texts only. AWS knows more, which is refused here
// so that no test passes for the wrong reason.
func parseFilter(pattern string) (filter, error) {
	var f filter
	if err := json.Unmarshal([]byte(pattern), &f); err != nil {
		return nil, fmt.Errorf("the filter %s is no JSON object: %w", pattern, err)
	}
	if err := checkFilter(f); err != nil {
		return nil, fmt.Errorf("the filter %s: %w", pattern, err)
	}
	return f, nil
}

func checkFilter(f map[string]any) error {
	for name, value := range f {
		switch value := value.(type) {
		case map[string]any:
			if err := checkFilter(value); err != nil {
				return err
			}
		case []any:
			for _, one := range value {
				if _, is := one.(string); !is {
					return fmt.Errorf("%s has %v: only texts are played here", name, one)
				}
			}
		default:
			return fmt.Errorf("%s must be a list of values or an object", name)
		}
	}
	return nil
}

func (f filter) passes(event map[string]any) bool {
	for name, want := range f {
		switch want := want.(type) {
		case map[string]any:
			have, is := event[name].(map[string]any)
			if !is || !filter(want).passes(have) {
				return false
			}
		case []any:
			found := false
			for _, one := range want {
				found = found || event[name] == one
			}
			if !found {
				return false
			}
		}
	}
	return true
}
