// Package gateway is a reverse proxy that records the calls of services.
//
// Parse reads a Config; New makes a Gateway of it and of a tracking.Recorder,
// which is an http.Handler, and Serve gives it a server with the configured
// limits. A call goes to the service of its route. Each try of it is recorded as
// a request and a response event, under a callId that the service gets as the
// parent-id of traceparent: when the service makes calls through the gateway, and
// passes traceparent on, these are children of its own call.
//
// A call with an idempotent method is tried again if no answer began, at another
// target where the service has one; after a timeout it is not. A target is left
// alone for 5 s after three calls in a row that got no answer, and while its
// health checks fail; where that leaves none, all are called.
//
// Where no answer comes the gateway answers itself, with a Problem: 404 without a
// route, 502 for a service that can't be reached or breaks off before its answer,
// 504 for one that takes too long, 503 where a recorder refuses. An answer that
// breaks off later is cut off for the client too.
//
// Bodies pass through as they come, so that memory does not depend on their size.
package gateway
