package playback

import (
	"context"

	"github.com/eb901187/annals"
)

// A Target is where a playback's events go. One Run at a time calls it, from one
// goroutine; after a crash or a takeover another process may still be writing what it
// was about to write.
type Target interface {
	// Destination says what the target is, for the record.
	Destination() Destination
	// Check is called before a playback from source is recorded as started, and
	// refuses what can't work; it changes nothing.
	Check(ctx context.Context, source *annals.Store) error
	// Open begins to take the events of p, from source, behind p.Place. Some of them
	// may be there already, up to any event: Write is given those again. Resumed is
	// false when the playback has just been recorded as started.
	Open(ctx context.Context, source *annals.Store, p *Playback, resumed bool) error
	// Write takes marked events, in order of position, with the stream, version and
	// position that they have in the source. It may keep neither the slice nor the
	// maps in it.
	Write(ctx context.Context, events []annals.Event) error
	// Flush makes durable what was written and says how many bytes that is in all;
	// 0 for a target that does not count them.
	Flush(ctx context.Context) (bytes int64, err error)
	// Close releases the target, also if Open has failed or was not called.
	Close() error
}

// A Reader is a Target that reads the selection by itself. A Run does not call Write,
// and waits until the target has reached the end.
type Reader interface {
	Target
	// Reached says up to which position of the source the target has come.
	Reached(ctx context.Context) (int64, error)
}

// audience is the target of a playback that has subscribers only: a Run counts what
// they are given.
type audience struct{}

func (audience) Destination() Destination                                   { return Destination{} }
func (audience) Check(context.Context, *annals.Store) error                 { return nil }
func (audience) Open(context.Context, *annals.Store, *Playback, bool) error { return nil }
func (audience) Write(context.Context, []annals.Event) error                { return nil }
func (audience) Flush(context.Context) (int64, error)                       { return 0, nil }
func (audience) Close() error                                               { return nil }
