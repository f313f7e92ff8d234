// Package tracking records the calls between services and turns what was
// recorded into traces: which services a request called, how each call ended,
// and which one is at fault.
//
// A Recorder takes events without waiting for the store, the queue or the
// stream behind its Sink. A Transport (http.RoundTripper) and Handler
// (middleware) record calls with it, and pass the request's id on by
// traceparent, tracestate and X-Request-Id.
//
// A gateway records an event of type MICROSERVICE_REQUEST for each call that it
// makes and one of type MICROSERVICE_RESPONSE for each answer, with the
// request's id as correlation. Their data is a JSON object:
//
//	request   Name (or name, service, source): the service called; callId,
//	          parentId, method, host, path, and givenRequestId: an X-Request-Id
//	          that is not the request's id
//	response  the same, and status (an HTTP status), durationMs, requestBytes,
//	          responseBytes, error, errorKind
//
// A Recorder puts them into the stream "request/" + the request's id, under ids
// made of the callId, so that they are stored once however often they come.
//
// A response belongs to the request with its callId or, without one, to the
// first open request of its service. A call was made within the call that it
// names as parentId, or whose request event led to its own. A call failed if
// its status is 500 or more, if it names an error, or if it got no answer within
// 30 seconds; one that its caller gave up (errorKind canceled) did not fail by
// itself. The service at fault is the one whose call failed first, of those
// within which no other failed.
//
// A Board knows the recent requests of a store and how its services did over
// the last hour, in memory.
package tracking
