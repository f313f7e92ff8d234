// Package view says where views are kept, and with them what consumers must
// remember: a Store holds documents by key in spaces, and changes them in
// transactions.
//
// A projection's documents and its checkpoint change in one Commit, under the
// condition that the checkpoint is still the one that the work began from. So an
// event is folded once: a crash loses the work together with the checkpoint, and
// of two runners at the same place one is refused.
//
// Everything in a Store can be built again from the log of events, but for what
// operators decided about parked events.
//
// Stores are in the packages below: pebbleview keeps a directory, dynamoview a
// table of DynamoDB, sqlview tables of SQLite, PostgreSQL, MySQL or MariaDB.
// Package viewtest holds the contract as tests.
package view
