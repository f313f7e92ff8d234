// Package fuzzapi sends requests to an HTTP API that describes itself, and judges the
// answers by that description.
//
// Parse reads an OpenAPI 3.1 document. A Generator makes requests for each of its
// operations by a seed: valid ones, valid ones with one thing wrong, and hostile ones.
// It learns from answers: the streams, positions, ids and versions that they name come
// back as parameters, so that requests get past the first checks. A Campaign sends them,
// and reports what is wrong with the answers:
//
//   - a status, or a media type of it, that the document does not list
//   - a body that its schema does not allow, event by event for NDJSON and server-sent
//     events
//   - a problem (RFC 9457) that says another status than the answer has
//   - a status of 500 and above, but for those of Campaign.Expected
//   - no answer at all, where the request does not ask to wait or to follow
//
// The document says nothing of how the bodies of requests are made, so that package
// fuzzapi knows that for the operations of Annals by their ids.
//
// # Limits
//
// Requests go through net/http, so that what is no HTTP at all is not sent, and nothing is
// sent that net/http's server answers by itself, as an Expect that it does not know. One campaign is one client; what happens between clients
// is package linear's. Nothing is appended to the streams in which Annals keeps what it
// did: whoever may do that, an operator, can write there what Annals can't read again,
// and is answered 500 and the code damaged, with the name of the event, from then on.
package fuzzapi
