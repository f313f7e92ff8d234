// Package proof shows that a log still says what it once said: with a root, the hash
// of a Merkle tree over the whole log, that somebody else keeps.
//
// The types to know:
//
//   - [Root] is the hash of the first so many events. It is 32 bytes for any log, and
//     what has to be kept outside the store's reach.
//   - [Tree] computes the roots of a store and makes proofs.
//   - [Proof] shows that an event is in the log of a root, or that the log of one root
//     begins with that of an older one. Checking it needs no store.
//   - [Verify] reads a store against a root and names what was changed, removed or
//     put into another order.
//   - [Witness] holds hashes of parts of the log, so that Verify can name the part.
//
// The tree is that of RFC 6962, computed by golang.org/x/mod/sumdb/tlog. Its leaf for
// the event at position P is the RecordHash of these bytes: "annals leaf 1\n"; then, as
// eight bytes each, big-endian, P, the event's version, and its index in its commit,
// from 0; then the Hash of the commit and the Digest of the event alone. The Digest
// covers the name of the stream, and the commit's Hash the one before it in the stream,
// so that the tree and the chains of the streams hold each other.
//
// All hashes are of what is stored. Data that is sealed for a subject stays sealed, and
// erasing the subject's key changes no hash.
package proof
