package compare

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// settings are those of one resource, as JSON has them, with a record of which
// were looked at.
type settings struct {
	values map[string]any
	seen   map[string]bool
	within []*settings // elements that were handed out
}

func newSettings(values map[string]any) *settings {
	return &settings{values: values, seen: map[string]bool{}}
}

// text returns the setting at a path of keys as text; "" if it is not set.
// A list of one element on the way is that element.
func (s *settings) text(path ...string) string {
	return asText(s.value(path...))
}

// value returns the setting at a path of keys, nil if it is not set.
func (s *settings) value(path ...string) any {
	s.seen[strings.Join(path, ".")] = true
	var at any = s.values
	for _, key := range path {
		if list, is := at.([]any); is && len(list) == 1 {
			at = list[0]
		}
		object, is := at.(map[string]any)
		if !is {
			return nil
		}
		at = object[key]
	}
	return at
}

// list returns the objects of the list at a path, each with its own record; those
// are part of what unseen looks through. One object counts as a list of one.
func (s *settings) list(path ...string) (elements []*settings) {
	defer func() { s.within = append(s.within, elements...) }()
	switch v := s.value(path...).(type) {
	case nil:
	case []any:
		for _, e := range v {
			object, _ := e.(map[string]any)
			elements = append(elements, newSettings(object))
		}
	case map[string]any:
		elements = append(elements, newSettings(v))
	}
	return elements
}

// unseen returns the paths of settings that have a value and were not looked at.
func (s *settings) unseen() []string {
	paths := unseen(s.values, "", s.seen)
	for _, element := range s.within {
		paths = append(paths, element.unseen()...)
	}
	return paths
}

func unseen(v any, path string, seen map[string]bool) (paths []string) {
	if seen[path] && path != "" {
		return nil
	}
	if list, is := v.([]any); is && len(list) == 1 {
		v = list[0]
	}
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		if len(v) == 0 {
			return nil
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			paths = append(paths, unseen(v[key], strings.TrimPrefix(path+"."+key, "."), seen)...)
		}
		return paths
	}
	return []string{path}
}

// asText writes a value so that equal ones have equal texts: numbers without an
// exponent, what is JSON within a text with sorted keys, lists of texts sorted.
func asText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		var within any
		if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &within) == nil {
			return asText(within)
		}
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		var texts []string
		for _, e := range v {
			texts = append(texts, asText(e))
		}
		slices.Sort(texts)
		return strings.Join(texts, ", ")
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(err)
		}
		return string(text)
	}
}

// present drops fields without a value.
func present(fields Fields) Fields {
	maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
	return fields
}
