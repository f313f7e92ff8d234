// Package pebbleview keeps a view.Store in a directory of this machine.
//
//	views, err := pebbleview.Open("annals-data/views", nil)
//
// Documents are keys of Pebble; a Change is one batch of it, in the order of its
// write-ahead log. So a crash may take the last changes that were not Durable,
// all from some point on and none before it, and never a part of one. Close makes
// everything durable.
//
// One process has a directory open at a time. Whatever is in it can be built
// again from the log of events: where it is damaged, delete it and let
// annals projection rebuild --all build the views anew.
//
// A change that the disk has no room for is refused with annals.ErrNoSpace, and
// the next one is made once there is room. A write that fails for good, on a disk
// that breaks or a file system that says no, leaves the directory as a crash at
// that point would: every later call says so, and the Store has to be opened
// again.
package pebbleview
