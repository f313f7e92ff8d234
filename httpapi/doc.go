// Package httpapi serves a store over HTTP.
//
//	http.ListenAndServe("127.0.0.1:4000", httpapi.New(store, nil))
//
// Resources stand under /v1: streams with their state, events, ingest, traces and
// position; with Options.Projections also views, projections, and consumers with
// their parked events; /healthz, /readyz, /metrics and /openapi.json beside them. One table holds the
// routes; requests are matched with it, the OpenAPI document is made of it, and
// parameters that it does not name are refused. Each route takes a role of package
// access, which the token of a request must have where Options.Authenticator is set.
//
// Events are CloudEvents in JSON. Versions and positions are JSON strings, for a
// JSON number loses them past 2^53. Errors are problems (RFC 9457) with the code
// of the library's error, whether trying again can help, and every violation. A
// response that can't be finished is cut off, never ended as if it were whole.
package httpapi
