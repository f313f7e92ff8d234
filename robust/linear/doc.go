// Package linear checks that streams are linearizable: that what concurrent
// clients were answered is what one client at a time could have been answered, in
// an order that respects who had an answer before whom asked.
//
// A Workload lets clients append to a stream and read it, by a seed, and records
// the History. Check decides it with porcupine. A stream is modelled as its version
// and the chained hash of all its events, so that one lost, repeated, reordered or
// altered event anywhere is seen by the next read.
//
// # Unknown outcomes
//
// An append whose outcome is unknown stays open to the end of its history: it may
// take effect at any time, or never. Each history ends in one whole read. Streams
// only grow, so that an append which that read does not show can only come after it,
// where nothing depends on it any more, and one which it shows must have been applied
// at the version that it shows, by whichever answer the model allows. The checker
// is told so, which changes no verdict (TestWhatTheLastReadTellsChangesNoVerdict) and
// spares it trying every subset of the open appends.
//
// # Limits
//
// Ids of events must be unique to their batch. Histories are of up to MaxOperations
// operations and MaxClients clients a stream; beyond that, porcupine may give up,
// which is reported as undecided and is no success.
package linear
