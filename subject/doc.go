// Package subject keeps the data of events that name a data subject readable only as
// long as that subject's key exists.
//
// A [Keyring] is the annals.Sealer of a store. It seals the data of each event with the
// key of the subject that the event names: 256 bits of chance, made when the subject is
// first seen. Keys lie on a [Shelf], wrapped by a [Wrapper] that holds a master key:
// package subject/keys has directories and key files, DynamoDB tables and AWS KMS.
//
// A key is active, then fenced, then destroyed, and never goes back. From the fence on
// nothing is sealed or opened any more. A destroyed key leaves a tombstone behind, so
// that the same subject never gets another: its events stay in the log as they are, and
// their hashes with them, but nobody can read what they held.
//
//	keyring.Fence(ctx, "account-7")
//	keyring.Destroy(ctx, "account-7")
//
// Package subject/erase does that with all that belongs to it: views, snapshots, and a
// receipt.
//
// # How data is sealed
//
// Sealed data is a byte that says how (1), a nonce of 12 bytes, and what AES-256-GCM
// makes of the content type and the data; stream, id, type and subject are authenticated
// with it, so that sealed data does not open in another event. Sealing the same event
// gives the same bytes, so that a repeated append is recognized. That takes a nonce that
// is derived: HMAC-SHA-256, cut to 96 bits, of everything that goes into AES-GCM. Two
// events that differ in anything have different nonces but for a chance of 2⁻⁹⁶ for each
// pair; two that agree in all make one and the same ciphertext, which says no more than
// that they are the same event. So no nonce is ever used for two messages, which is what
// AES-GCM asks for. The keys of AES, HMAC and the fingerprint are derived from the
// subject's key by HKDF.
package subject
