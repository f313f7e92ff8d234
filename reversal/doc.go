// Package reversal undoes events by appending further ones: history is never
// edited.
//
// NewPlan looks for the events of a Target, chooses for each the first way that
// applies, and says what would be appended and what becomes of the state. Apply
// appends it, one commit for each stream. Nothing is appended while planning, so
// that a plan is a dry run, and bad input is refused as a whole.
//
//	plan, err := reversal.NewPlan(ctx, store, reversal.Target{Stream: "order-7", Version: 3}, &reversal.Options{
//		Reason: "entered twice",
//	})
//	if err != nil {
//		return err
//	}
//	_, err = reversal.Apply(ctx, store, plan)
//
// # Three ways
//
// Declared: the event has an inverse, which says what happened that undoes it: a
// Go function or jq for its type (Options.Inverses), or JSON in its attribute
// "reverse". The inverses of several events are appended newest first.
//
// MergePatch: the state is that of merge patches, and the patch that takes the
// event back follows from the state before it. Later events keep what they wrote.
//
// Replay: the stream is folded without the event, and the state that results is
// appended: as a merge patch where that can express it, else as an event of the
// type StateRestored, which package fold puts in place of the document.
//
// The last two give exactly the state of the fold without the event. It is folded
// and compared before the plan is returned.
//
// # What is appended
//
// Events of the type EventReversed hold a merge patch, or no data where the state
// is right already. Each event that is appended names what it reverses, and the
// reversal, in its attributes. It has the source and the correlation of the event
// that it reverses, and that event as its causation. Ids derive from the reversal,
// the stream and the place in the commit, and the version is exact: repeating an
// append is harmless.
//
// An event of a reversal can be reversed in turn, together with the others of its
// reversal in that stream. What it had reversed counts as not reversed then.
//
// Aggregates in Go know the events of their own schema only: declare inverses for
// them.
package reversal
