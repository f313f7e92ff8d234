// Package embedded keeps a store in a directory of this machine.
//
//	store, err := embedded.Open("annals-data", nil)
//
// The truth is a log of segments, the one thing that is synced: an append
// returns after its records are on disk, and appends that wait for a sync share
// the next one. Indexes by stream, position, type, source, correlation and id
// live in memory for the newest events and in Pebble for the others; they can
// always be built again from the log (Reindex).
//
//	annals-data/FORMAT  what this directory is
//	annals-data/LOCK    held by the one process that has it open
//	annals-data/log/    segments, named by the address that they start at
//	annals-data/index/  Pebble
//
// Each commit carries the hash of the one before it in its stream, which Verify
// follows and Store.Chain shows: what is changed, removed or put elsewhere is named
// although somebody mended all checksums. A store that an older program made opens as
// it is; the first append to it raises its FORMAT, and older programs refuse it then.
//
// Backup copies a store, also one that another process is writing to; a copy of
// the directory of a closed store is a backup too. Verify checks every event and
// every index entry.
//
// What it does not do: it serves one process. Others reach it over HTTP, through
// package client. On a file system that lies about fsync, nothing acknowledged
// is safe.
package embedded
