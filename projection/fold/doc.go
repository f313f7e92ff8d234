// Package fold turns events into documents by rules that are written in a file:
// which documents an event belongs to, and how it changes them. It is pure: it
// reads no store, no clock and no environment, so that the same events always
// make the same documents.
//
// A file is YAML:
//
//	name: orders                 # the file's base name by default
//	query: {types: [order-placed, order-removed], prefix: order-}
//	key: .stream                 # jq over the event; this is the default
//	fold:                        # or: fold: merge-patch
//	  order-placed: '{total: $event.data.total, status: "placed"}'
//	delete: [order-removed]      # these types delete the document
//
// The query chooses events by types, sources, correlation and prefix. Without
// types, they are those of fold and delete, unless fold names "*", every other
// type. The key gives the names of the documents that an event folds into, as
// strings; an event without output belongs to none.
//
// In a fold . is the document, or null if there is none yet, and $event is the
// event: id, type, source, time, stream, version, position, correlation,
// causation, contentType, attributes, erased, data, data_base64. Its one output is the
// new document, an object; empty leaves the document as it is. See Input.
//
// Folds are jq as gojq has it, but for what depends on more than document and
// event: input, env, debug, localtime, modules and the like are refused, and now
// is the time of the event. A fold is cut off after 5 million steps, which take
// about half a second and some 100 MB at most, or after 5 seconds where its steps
// are long: a loop without an end parks its event and does not stop the others. An
// index into an array must be below 1,048,576, and a string can't be repeated
// beyond 1 MiB. This guards against mistakes and odd events, not against an author
// who wants to use up memory: a string that is added to itself again and again
// may take gigabytes before the time is over.
//
// Numbers that a fold passes on keep every digit. Arithmetic is jq's: whole
// numbers are exact at any size, all others become a float64. A fold whose
// document would hold a NaN, an infinity, or a string that is not UTF-8 fails,
// because JSON has no such values.
//
// The merge patch of RFC 7396, fold: merge-patch, needs no jq: data is merged into
// the document, and members that are null are removed from it. See MergePatchRules
// for the latest state of every stream. A StateRestored event, from package
// reversal, says outright what the document of its stream is.
package fold
