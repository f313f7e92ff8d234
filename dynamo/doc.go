// Package dynamo keeps a store in DynamoDB and S3.
//
// A commit is one item of the table NAME-events, written once by one conditional
// call and never changed. A Sequencer reads the table's stream and gives every
// event its position: it writes pages of events to the table NAME-log. A page's
// key is its first position and is written only if it is free, so that of two
// sequencers one wins and the other reads on; a position comes from what the log
// holds, never from a counter that could run ahead of it. Pages gather in runs;
// a full run moves to one object of S3, and its index goes to the log table.
//
// What is committed but not sequenced yet is in Stream at once and in Log a
// moment later: Store.Wait says when. Stream leaves Event.Position 0, because
// positions live in the log; Log gives them.
//
// Each commit's item names the annals.Hash of the commit before it in its stream, and
// pages and runs have a copy of that beside the events, so that Driver.Chain reads the
// log alone. Items and pages of earlier versions have none; see Driver.Chain.
//
// Requests are counted, with the units that DynamoDB says they used: by
// operation in Driver.Costs, and under one context by Metered.
package dynamo
