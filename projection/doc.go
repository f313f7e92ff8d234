// Package projection keeps views of an event store: documents by key, or tables
// of SQL, that events are folded into, each event once.
//
// A Projection says which events and how: in Go (Documents, SQL), or in a YAML
// file with folds in jq (Load, Parse). A Set runs the projections of one store
// over a view.Store, which keeps the documents together with how far each
// projection has come.
//
// A view is built in generations. A changed projection needs a new one: Rebuild
// begins it beside the live view, from the start of the log; reads are answered
// from the live one until Switch moves them over in one step, and Rollback moves
// them back. Files keep their text with the generation, so that the live view
// goes on by the old definition while the new one is built.
//
// An event that can't be folded is parked, with the events of its stream behind
// it; see package consumer.
//
// Folds must depend on the document and the event alone. Then a rebuild ends
// where the live view is, byte for byte.
package projection
