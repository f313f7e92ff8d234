// Package playback sends a chosen part of a store's log again: to a file, to another
// store, to a stream of the same store, or to whoever subscribes.
//
//	run, err := playback.Start(ctx, store, playback.Selection{Streams: []string{"order-*"}}, playback.ToFile("orders.ndjson"), nil)
//	…
//	done, err := run.Run(ctx)
//
// A Selection says which events: those of the log up to its end when the playback
// was started, so that a playback ends, and means the same whenever it is read. They
// keep the order of the log. Each is marked with the playback's id and with where it
// stands in the source: see Mark.
//
// A playback is recorded in the source store, in the stream annals.playbacks/ID: what
// was selected, for which Target, how far it has come, and how it ended. Every record is
// appended at the exact version of the last, so that whoever has recorded last owns the
// playback. A Run that finds another's record behind its own (Stop, or Resume elsewhere)
// ends with ErrNotOwner and leaves the record alone.
//
// After an interruption, also a crash, Resume goes on at the last recorded place. What was
// written behind that place is written again to a file, byte for byte the same, and
// passed over by stores and streams, which hold their own events of this playback. So a
// finished target holds exactly the selection, each event once.
//
// Subscribe gives the events of a playback to any number of subscribers, each from the
// start of the playback, whenever they come; it reads the source by the recorded selection.
//
// A Target of your own needs five methods; at the least it must take the same events twice.
package playback
