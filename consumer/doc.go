// Package consumer reads a store's log from a checkpoint and hands it to a
// Handler, so that every event is worked on once, in order.
//
// A Runner reads batches behind its checkpoint. What wakes it carries no data:
// all that it handles comes from the log, so that a wake-up that is lost,
// repeated or late changes nothing. What a Handler wants written commits together
// with the checkpoint, under the condition that no other Runner of that name has
// moved it: two Runners at once are safe, and one of them rests.
//
// An event that can't be handled is tried again with growing pauses and then
// parked. Later events of its stream wait behind it, in order; those of other
// streams go on. Control lists what is parked, retries it, edits it, drops it
// with a reason, and pauses and resumes consumers, from any process. What an
// operator decided about an event holds for every later rebuild too.
//
// Handlers take their time from the event: Message.Now. A Handler that asks the
// machine's clock can't be replayed.
package consumer
