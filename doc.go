// Package annals is an event store: it keeps every change of a system as an
// immutable event, in streams with optimistic concurrency and in one log with
// a total order.
//
// The four types to know:
//
//   - [Event] is a fact: id, type, source, time, data, and the request and the
//     event that it belongs to.
//   - [Store] appends events and reads them back. It is a concrete type over a
//     [Driver]; open one with a driver's package, such as embedded.Open or
//     client.Open.
//   - [Commit] is what one append stored: all of its events or none.
//   - [Query] says which events of the log to read.
//
// A stream holds the events of one aggregate or one request, numbered by
// version from 1. The log holds all events of the store, numbered by position
// from 1 without gaps. Once a reader has seen position P, nothing new ever
// appears at or below P.
//
// Reads are iterators. An interrupted read always ends in an error, never in a
// short result:
//
//	for event, err := range store.Stream(ctx, "order-7", nil) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// Appending the same events again, with the same ids, is always safe: the
// store answers with the first commit, marked as replayed.
//
// Errors carry a [Code]; match them with errors.Is against the Err variables,
// or take their facts with errors.As: [ConflictError], [DuplicateError],
// [InvalidError].
package annals
