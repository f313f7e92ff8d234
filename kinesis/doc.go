// Package kinesis puts events on Kinesis data streams and reads them there. It is how
// messages reach the function pump, and how playbacks reach their subscribers.
//
//	writer := kinesis.NewWriter(client, "annals-ingest", nil)
//	err := writer.Put(ctx, events)
//
// A record is a JSON array of CloudEvents, all of one stream, whose name is the
// partition key: so a stream's events share a shard, and come in order. Other programs
// may put what ingest.Decode takes, alone or in arrays.
//
// A Writer sends the next record of a stream only when the one before it was accepted,
// so that a partial failure reorders nothing. What may or may not have arrived it puts
// again: readers meet each event at least once. A repetition stands anywhere behind its
// first, so they tell it by its id within its stream, or in a playback by its version.
// Kinesis numbers records as they arrive; of requests in quick succession AWS promises
// no order, only that a record is kept before its request is answered.
//
// A Reader reads all shards of a stream, parents before children. Target lets playbacks
// go to a stream, and Reader.Playback gives their events, each once.
package kinesis
