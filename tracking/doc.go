// Package tracking turns the events of a request into a trace: which services
// were called, how each call ended, and which one is at fault.
//
// A gateway records an event of type MICROSERVICE_REQUEST for each call that it
// makes and one of type MICROSERVICE_RESPONSE for each answer, with the
// request's id as correlation. Their data is a JSON object:
//
//	request   Name (or name, service, source): the service called; callId
//	response  the same, and status (an HTTP status), durationMs, error
//
// A response belongs to the request with its callId or, without one, to the
// first open request of its service. A call failed if its status is 500 or
// more, if it names an error, or if it got no answer within 30 seconds. The
// service at fault is the one whose call failed first.
package tracking
