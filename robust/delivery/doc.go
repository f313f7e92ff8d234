// Package delivery plays the event sources of AWS Lambda in memory, by a seed, and as
// badly as AWS says that they may behave. Its tests deliver through them to the real
// handlers of package lambda, whose instances are thrown away at any step, and hold that
// nothing is lost, applied twice, or out of order.
//
// A Queue is an SQS queue with its event source mapping: batches in any order, messages
// that come again although they were handled, partial batch responses, and messages that
// are set aside once they were received too often.
//
// A Stream is a Kinesis stream with its mapping: shards in order, each going on from its
// checkpoint or from the record that a partial response names, batches halved after an
// error, checkpoints that are lost, and shards that are split and merged, whose children
// are read once their parents are at their end.
//
// # Limits
//
// Both are for one goroutine. Time has no part in them: a message is hidden for no time,
// and no record grows too old. Limits of bytes are not played.
package delivery
