package reversal

import (
	"reflect"

	"github.com/eb901187/annals/projection/fold"
)

// In states and patches alike nil stands for a member that is not there: merge
// patches make no state that holds a null but within arrays.

// undo returns the merge patch that takes patch back at a place where before stood
// before it, and into which the later patches were merged since; false if nothing
// of it is left.
func undo(before, patch any, later []any) (any, bool) {
	for _, l := range later {
		if _, object := l.(map[string]any); !object {
			return nil, false // written over
		}
	}
	if len(later) == 0 {
		after := patch
		if patch != nil {
			after = fold.MergePatch(before, patch)
		}
		return difference(after, before)
	}
	was, _ := before.(map[string]any)
	members, object := patch.(map[string]any)
	if !object { // it removed every member that there was
		members = make(map[string]any, len(was))
		for name := range was {
			members[name] = nil
		}
	}
	out := map[string]any{}
	for name, member := range members {
		var since []any
		for _, l := range later {
			if m, has := l.(map[string]any)[name]; has {
				since = append(since, m)
			}
		}
		if u, left := undo(was[name], member, since); left {
			out[name] = u
		}
	}
	return out, len(out) > 0
}

// difference returns the merge patch that makes to of from; false if they are
// equal. A to that holds nulls in an object has none that does it.
func difference(from, to any) (any, bool) {
	if reflect.DeepEqual(from, to) {
		return nil, false
	}
	target, object := to.(map[string]any)
	source, both := from.(map[string]any)
	if !object || !both {
		return to, true
	}
	out := map[string]any{}
	for name := range source {
		if _, kept := target[name]; !kept {
			out[name] = nil
		}
	}
	for name, member := range target {
		if d, differs := difference(source[name], member); differs {
			out[name] = d
		}
	}
	return out, true
}
