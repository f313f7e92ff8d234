// Package ingest takes messages in and stores them as events.
//
// Four shapes are accepted, told apart by their members:
//
//   - a CloudEvent 1.0 (specversion), structured or, over HTTP, binary; its
//     stream is the extension attribute stream or else its subject
//   - the plain shape {type, data, id?, source?, time?, correlation?, causation?},
//     where the stream is known from elsewhere
//   - a tracking message {id, requestId, timestamp, type, source, data}: it goes
//     to the stream named by its requestId, with that correlation; members of
//     data that are null are dropped
//   - a command body {aggregateId, eventType, eventData, id?}
//
// Members that a shape does not know are refused by name, so that a misspelled
// one is never lost in silence.
//
// A Runner stores many messages at once. Messages of one stream keep their
// order; ids make a second run over the same input harmless. A command body
// without an id is a new event on each run.
//
// A Receiver stores what a queue or a stream delivers in batches, and may deliver
// again: the messages of a batch for one stream become one commit, each delivery
// gets an Outcome of its own, and a message without an id is named after the place
// that it came from.
package ingest
