// Package lambda runs Annals on AWS Lambda. One binary plays every role; its
// environment says which.
//
//	load      POST /v1/ingest → the Kinesis event stream; answers 202
//	track     SQS → the store; one commit for the messages of one stream
//	pump      the Kinesis event stream → the store, in order, exactly once
//	command   HTTP: append
//	query     HTTP: read streams, the log, traces, views
//	sequence  the stream of the events table → the numbered log
//	write     wake-ups → projections fold the log into views; HTTP: operate them
//	react     wake-ups → reactions and sagas that a program of one's own brings
//	playback  a part of the log → the Kinesis playback stream, or a projection
//
// A trigger carries no truth: sequence, write and react read what they work on
// from the tables, so that a lost, repeated or reordered one changes nothing.
//
// A message that can never be stored goes to the queue of dead letters with the
// reason, and the batch goes on. What fails for another reason is reported as a
// failed item of its batch, so that Lambda sends it again.
package lambda
