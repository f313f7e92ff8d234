package lambda

import (
	"context"
	"slices"
)

// A Role is what a function does.
type Role string

// The roles.
const (
	Load     Role = "load"
	Track    Role = "track"
	Pump     Role = "pump"
	Command  Role = "command"
	Query    Role = "query"
	Sequence Role = "sequence"
	Write    Role = "write"
	React    Role = "react"
	Playback Role = "playback"
)

// Roles lists every Role, in the order in which an event meets them.
func Roles() []Role {
	return []Role{Load, Track, Pump, Command, Query, Sequence, Write, React, Playback}
}

// Valid reports whether r is a Role.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// A handler is the work of one role. Lambda calls it for one invocation at a time.
type handler interface {
	// handle works on one invocation until ctx ends shortly before Lambda would
	// stop it. What it returns is the function's answer, as JSON. A batch that
	// failed in part is an answer, not an error: see batchAnswer.
	handle(ctx context.Context, in *invocation) (any, error)
	// close releases what the handler opened.
	close() error
}

// makers make the handler of each role. They check the configuration and open
// what the role needs, so that a bad one fails at the start of the function.
var makers = map[Role]func(context.Context, *environment) (handler, error){
	Load:     newLoad,
	Track:    newTrack,
	Pump:     newPump,
	Command:  newCommand,
	Query:    newQuery,
	Sequence: newSequence,
	Write:    newWrite,
	React:    newReact,
	Playback: newPlayback,
}
