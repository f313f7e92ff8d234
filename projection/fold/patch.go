package fold

import "maps"

// MergePatch applies patch to doc by RFC 7396 and returns the result: where patch
// is an object, its members replace those of doc, null removes them, and objects
// are merged in turn; any other patch replaces doc whole. Neither is changed, and
// the result shares what it can with both.
func MergePatch(doc, patch any) any {
	members, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	target, ok := doc.(map[string]any)
	if ok {
		target = maps.Clone(target)
	}
	if target == nil {
		target = make(map[string]any, len(members))
	}
	for key, member := range members {
		if member == nil {
			delete(target, key)
		} else {
			target[key] = MergePatch(target[key], member)
		}
	}
	return target
}
