// Package client reaches a store that annals serve has open. It is a driver, so
// that a program that works on a directory works on a server too:
//
//	store, err := client.Open("http://127.0.0.1:4000", nil)
//
// An append whose answer was lost is sent again by the Store with the same
// events and ids, which the server recognizes. A connection that can't be made
// is annals.ErrUnavailable: nothing was sent. A read that is cut off ends in an
// error; Follow can be called again from the last position.
//
// OpenProjections reaches what the same server keeps beside the events: views,
// with reads of one's own writes, projections, and parked events.
package client
