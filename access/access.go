package access

import (
	"context"
	"slices"
	"time"

	"github.com/eb901187/annals"
)

// A Role is what somebody may do. None includes another.
type Role string

// The roles.
const (
	Read    Role = "read"    // read streams, the log, traces, views, what runs
	Append  Role = "append"  // append events, ingest messages
	Operate Role = "operate" // change projections, consumers, repairs, playbacks; reverse
)

// Roles lists every Role.
func Roles() []Role { return []Role{Read, Append, Operate} }

// A Principal is somebody who was recognized.
type Principal struct {
	Name  string
	Roles []Role
}

// May reports whether p has the role.
func (p Principal) May(r Role) bool { return slices.Contains(p.Roles, r) }

// Local is who uses a server that asks nobody for a token: it may do all.
func Local() Principal { return Principal{Name: "local", Roles: Roles()} }

// An Authenticator recognizes tokens. It is safe for concurrent use. What it does
// not recognize is an error of annals.CodeUnauthorized that does not hold the token.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Principal, error)
}

type key struct{}

// With is ctx for what p asks for.
func With(ctx context.Context, p Principal) context.Context { return context.WithValue(ctx, key{}, p) }

// From is who asks, as With said; a Principal without roles if nobody did.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(key{}).(Principal)
	return p
}

// Stream is where Record appends.
const Stream = annals.OwnPrefix + "operators"

// An Action is what an operator did, or tried to do.
type Action struct {
	Who    string    `json:"who"`
	At     time.Time `json:"at"`
	What   string    `json:"what"`             // such as "projection.switch", as the route or the console's action is called
	Target string    `json:"target,omitempty"` // such as the projection's name
	Detail string    `json:"detail,omitempty"` // such as the reason that was given
	// Error is why it failed; empty if it was done.
	Error string `json:"error,omitempty"`
}

// Record appends a to Stream. It notes what was done, after it was done: an error
// says that the note is missing, not that the action failed.
func Record(ctx context.Context, store *annals.Store, a Action) error { panic("written by helper D") }
