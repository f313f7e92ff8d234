// Package keys has the places where the keys of data subjects are kept: directories with
// a key file, and DynamoDB tables with AWS KMS. Commands and tests choose among them;
// package subject works with any.
//
// A directory holds
//
//	FORMAT        what it is
//	LOCK          held while a record is changed
//	master.key    the master key that wraps the others, for its owner alone
//	subjects/     a record for each subject, under the hash of its name
//
// A table has an item for each subject, under its name, and its keys are wrapped by a
// key of KMS with the subject in the encryption context.
//
// Losing the keys is losing the data. Keeping them beside the backups of a store keeps
// what was erased readable there.
package keys
