// Package console is the web console of a store: pages that the server renders, live
// parts by server-sent events, and forms for what operators do. It is served under
// Path beside the HTTP API.
//
//	mux.Handle(console.Path, console.New(store, &console.Options{Projections: set}))
//
// A screen is a line in a table (screens) with the function that reads what it shows
// and a template; an action is a line in another (actions) with the role that it
// takes and the name that must be typed before it is done. No page reads more than it
// shows. Pages carry a strict Content-Security-Policy and no inline script; without
// JavaScript everything but the live parts works.
package console
