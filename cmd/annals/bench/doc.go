// Package bench measures an embedded store beside two references that it
// carries itself, in one run and interleaved: a bare log with group commit,
// which is the limit of any durable store, and an events table in SQLite with
// one transaction an append, which is what Go's event-sourcing libraries do.
package bench
