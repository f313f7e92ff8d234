package local

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// A need is an action on a resource that a request asks for. A resource that the
// request doesn't tell is empty.
type need struct{ action, resource string }

// A policy is what a function's role may do, and what it was seen to do.
type policy struct {
	grants []Grant

	mu     sync.Mutex
	used   map[string]bool // by action as granted
	denied map[need]bool
}

func newPolicy(grants []Grant) *policy {
	return &policy{grants: grants, used: map[string]bool{}, denied: map[need]bool{}}
}

// allows notes the use of what it allows, and what it denies.
func (p *policy) allows(n need) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	allowed := false
	for _, g := range p.grants {
		if n.resource != "" && !slices.ContainsFunc(g.Resources, func(r string) bool { return matches(r, n.resource) }) {
			continue
		}
		for _, action := range g.Actions {
			if !matches(strings.ToLower(action), strings.ToLower(n.action)) {
				continue
			}
			if g.Deny {
				p.denied[n] = true
				return false
			}
			allowed, p.used[action] = true, true
		}
	}
	if !allowed {
		p.denied[n] = true
	}
	return allowed
}

// unused returns the granted actions that were never needed. Logs, keys and traces
// are not played here.
func (p *policy) unused() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, g := range p.grants {
		for _, action := range g.Actions {
			service, _, _ := strings.Cut(action, ":")
			if !g.Deny && !p.used[action] && !slices.Contains([]string{"logs", "kms", "xray"}, service) {
				all = append(all, action)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (p *policy) refused() []need {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []need
	for n := range p.denied {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b need) int {
		return cmp.Or(cmp.Compare(a.action, b.action), cmp.Compare(a.resource, b.resource))
	})
	return all
}

// matches reports whether pattern, in which * stands for any text and ? for any
// character, is all of s.
func matches(pattern, s string) bool {
	star, again := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, again = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			again++
			p, i = star+1, again
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
