package compare

import (
	"fmt"
	"maps"
	"slices"
)

// A Model is a set of resources by kind and name, such as "table annals-log".
type Model map[string]Fields

// Fields are the settings of one resource by name, as text. A setting that a
// resource does not have is absent.
type Fields map[string]string

// merge adds fields to a resource, which need not be there.
func (m Model) merge(name string, fields Fields) error {
	if m[name] == nil {
		m[name] = Fields{}
	}
	for field, value := range fields {
		if old, twice := m[name][field]; twice && old != value {
			return fmt.Errorf("%s has the setting %s twice: %s, and %s", name, field, old, value)
		}
		m[name][field] = value
	}
	return nil
}

// Diff lists what differs between a and b, sorted, each with the resource, the
// field and both values. The names say in its lines which is which.
func Diff(a, b Model, nameA, nameB string) (differences []string) {
	for _, resource := range union(a, b) {
		inA, isA := a[resource]
		inB, isB := b[resource]
		switch {
		case !isA:
			differences = append(differences, fmt.Sprintf("%s: only in %s", resource, nameB))
		case !isB:
			differences = append(differences, fmt.Sprintf("%s: only in %s", resource, nameA))
		default:
			for _, field := range union(inA, inB) {
				if inA[field] != inB[field] {
					differences = append(differences, fmt.Sprintf("%s: %s: %s in %s, %s in %s",
						resource, field, shown(inA, field), nameA, shown(inB, field), nameB))
				}
			}
		}
	}
	return differences
}

func shown(fields Fields, field string) string {
	if value, set := fields[field]; set {
		return fmt.Sprintf("%q", value)
	}
	return "not set"
}

func union[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
