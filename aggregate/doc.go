// Package aggregate decides and evolves over streams of typed domain events.
//
// A Type says what an aggregate is: the events of its domain under their stored
// names (Schema) and evolve, a function that folds an event into the state. A
// Repository keeps aggregates of a Type in a store, each in a stream of its own:
//
//	result, err := accounts.Execute(ctx, "7", func(a Account) ([]Event, error) {
//		if a.Balance < 30 {
//			return nil, ErrNotCovered
//		}
//		return []Event{Withdrawn{Amount: 30}}, nil
//	}, &aggregate.CommandOptions{IdempotencyKey: "order-12"})
//
// Execute loads the state, lets the function decide, and appends what it
// returns on the condition that nothing was appended meanwhile. After a conflict
// it reads what is new and decides again, so that no decision rests on an old
// state and no write is lost. A decision may therefore be made several times: it
// must only look at the state, change nothing, and take time and chance from
// outside.
//
// The state that Execute returns is folded from the events as they were stored,
// not as they were decided: it is what a later Load makes.
//
// # Commands that are repeated
//
// With an idempotency key, a command that was stored is not executed again: the
// answer is its first result, with Replayed set, though the state has moved on
// since. The ids of its events derive from the key, so that nothing but the
// events themselves must be kept for this. Where the state came from a snapshot,
// events before it are not read, and the store is asked for the id: a key is
// then known for as long as the store knows ids, which is at least over the
// stream's last 1,000 events (embedded stores: for ever). Without snapshots every
// key is known for ever. A command that failed, or had no events, left no trace
// and is decided again.
//
// # Events that change
//
// Each event has a name and a schema version, kept beside its data, and
// Upcasters lift old versions to the current one when they are read. New refuses
// a Schema with gaps. A type of event that the Schema does not know is an error
// unless Schema.Ignored names it.
//
// # Snapshots
//
// With Options.Snapshot the state is stored from time to time, in a stream of
// its own under SnapshotPrefix. A snapshot is a shortcut and nothing else: one
// that is missing, damaged or of another version costs a full load.
//
// # Data subjects
//
// Where the events of a stream name one data subject, its snapshots name it too and
// are erased with it; where they name several, none is stored. An event that is erased
// folds as the zero value of its type: what a state must keep, such as a balance,
// belongs into events that name no subject.
//
// Package aggregatetest has given/when/then tests and golden files for Types.
package aggregate
