// Package sink has the places to which a tracking.Recorder delivers what it records.
//
//	to := sink.ToStore(store)
//	recorder, err := tracking.NewRecorder(to, nil)
//
// ToStore appends to a store, ToServer sends to the ingest of a server, ToQueue and
// ToStream put events where the functions track and pump take them from. Open makes one
// of an address.
//
// Each delivers all events that it can before it returns an error. To deliver the same
// events again is harmless, as their ids keep them from being stored twice; in a queue
// and on a stream they may be there twice. An event that can never be stored is refused
// before anything else could be kept from going on: the error then is one of those for
// which ingest.IsRefusal is true. Every other error may pass.
package sink
