// Package bench measures an embedded store beside two references that it
// carries itself, in one run and interleaved: a bare log with group commit,
// which is the limit of any durable store, and an events table in SQLite with
// one transaction an append, which is what Go's event-sourcing libraries do.
//
// Rates of the append workloads are for events of 300 bytes, each acknowledged
// only after a sync. A row is the median of six rounds. Compare ratios, not
// rates: the machine and its disk are in every rate, and in both sides of a
// ratio.
//
// RunTables measures a store in DynamoDB: what each operation costs there, and how
// fast it is beside a table of one item an event.
//
// RunLoad loads a served store over HTTP in an open loop: fixed rates, many
// followers, ten times what it can do, everything at once for an hour; and compares a
// store of 20 million events with one of a million.
//
// Price measures nothing: it computes what a deployment on AWS costs a month, from
// what the tests of costs hold and list prices.
package bench
