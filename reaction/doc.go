// Package reaction acts on events: it appends further events because of those
// that it reads, and carries processes of many steps through to one of two ends.
//
// A Reaction calls a Handler for every event that matches its query, in the order
// of the log. What the Handler appends by its Turn has ids made of the reaction's
// name and the event at hand, so that an event that comes again, after a crash or
// from a second process, appends nothing twice: what it appended first stands.
//
// A Saga is a process: steps one after the other, each with a command that it
// issues, the events that answer it, a time limit and a compensation. A Process
// runs the sagas of one kind. What it decides goes to a stream of each saga's
// own before anything is done about it, so that a saga can be read like any
// stream, and goes on from there on whichever machine:
//
//	saga-order/7  1 saga-started
//	              2 step-started            payment
//	              3 timeout-set             payment
//	              4 step-completed          payment
//	              5 step-started            shipping
//	              6 step-failed             shipping
//	              7 compensation-started    payment
//	              8 compensation-completed  payment
//	              9 saga-compensated
//
// When a step fails, the steps that were completed are compensated, the last one
// first. A step that answers with success after its time has passed is compensated
// too. A compensation that fails is tried again, and in the end the saga is
// failed, which Process.Resume gets it out of.
//
// What leaves the store does so through an effect.Gateway, if Options have one: a
// Handler, and the Issue of a saga's step, make outside calls with the context that
// they are given. Each is made once. A Reaction can be repaired after a bug: its
// Handler runs again over the past with nothing sent, and what differs is shown
// before any of it is corrected. See docs/effects.md.
//
// Clocks are those of package consumer's Options; a Handler's time is the event's.
package reaction
