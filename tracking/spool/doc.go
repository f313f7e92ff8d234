// Package spool is a bounded first-in-first-out queue of byte records in
// a directory: what one part of a program hands to another, kept over crashes.
//
// Append returns once its records are synced. Peek reads from the front,
// and Advance says that what was peeked is done with. The place in the queue is
// written but not synced: after a crash of the machine, records that were done
// with may come again; none is left out.
//
// The directory holds segments, place and LOCK. A segment is
//
//	magic, number of its first record, number that records before it end at, CRC
//
// and then records, each
//
//	magic, length, number, CRC of the body, CRC of the header, body
//
// A write that a crash cut off is passed over. Bytes that changed on disk cost
// the records they lie in: these are counted as lost and logged with their
// file, and the rest is read. A segment is deleted once all of it is done with.
package spool
