package projection

import "github.com/eb901187/annals/projection/fold"

// StateName is the name of the built-in projection State.
const StateName = "state"

// State is the built-in projection of the latest state of every stream: a
// document under the stream's name, to which each event's data is applied as a
// JSON merge patch (RFC 7396).
func State() *Projection {
	rules := fold.MergePatchRules()
	return &Projection{name: StateName, revision: "merge-patch-1", documents: byRules(rules), rules: rules}
}
