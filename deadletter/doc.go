// Package deadletter keeps messages that could not be stored in a queue of SQS,
// until somebody sends them again or drops them.
//
// Letters of three kinds arrive there:
//
//   - refused: a message that can never be stored as it is, put there by Send with
//     the reason. Its body is the message as it came, or names an object of the
//     bucket that holds it, where SQS would not take it.
//   - redriven: a message that SQS itself moved there, as it was received too often
//     without being deleted. It tells no reason.
//   - discarded: a record of Lambda about a part of a stream that it gave up on. It
//     says where the records lie, not what they hold.
//
// A letter leaves the queue only once it was sent again, or once the store has an
// event that says who dropped it and why. A process that dies in between leaves the
// letter, and doing it again is harmless: a message that has no id of its own is
// sent again with the one that its first place gave it.
//
// What is sent again comes behind all that its stream got meanwhile.
package deadletter
