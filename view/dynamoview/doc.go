// Package dynamoview keeps a view.Store in a table of DynamoDB.
//
//	views, err := dynamoview.Open(ctx, client, "orders"+dynamoview.Suffix)
//
// The table is NAME-views, which annals init makes beside the tables of the store
// NAME. A document is one item:
//
//	space (S), key (S)   what it is found by
//	data (S)             the document
//	position (N)         of the last event folded into it
//	change (B)           a random id of the put that wrote it, where that could be taken for another's
//
// A change of one document that expects at most that document is a conditional
// put: 1 write unit for each KB. Every other is one transaction: 2 units for each
// KB of each document, those that are only expected included. A get is strongly
// consistent: 1 read unit for each 4 KB of each document.
//
// Requests that DynamoDB can't take right now are sent again, by the SDK and,
// where transactions meet, here. A reply that was lost is no conflict: a
// transaction carries a token by which DynamoDB knows it again for ten minutes,
// and a put finds its own id in the table. If all tries fail and one of them may
// have been made, the outcome is called unknown.
package dynamoview
