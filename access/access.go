package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

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

// ParseRoles reads roles that commas separate, such as "read,operate".
// Error: *annals.InvalidError where one is unknown, or there is none.
func ParseRoles(text string) ([]Role, error) {
	var roles []Role
	for name := range strings.SplitSeq(text, ",") {
		r := Role(strings.TrimSpace(name))
		if !slices.Contains(Roles(), r) {
			return nil, annals.Invalid("roles", "must be of read, append and operate, separated by commas, not %.40q", name)
		}
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}

// A Principal is somebody who was recognized.
type Principal struct {
	Name  string
	Roles []Role
	// Rate is how often it may ask; zero for as often as others. See Limited.
	Rate Rate
}

// May reports whether p has the role.
func (p Principal) May(r Role) bool { return slices.Contains(p.Roles, r) }

// Check is an error of annals.CodeForbidden that names r if p does not have it.
func (p Principal) Check(r Role) error {
	if p.May(r) {
		return nil
	}
	return &annals.Error{
		Code: annals.CodeForbidden, Message: fmt.Sprintf("%s may not do this: it takes the role %s", p.Name, r),
		Hint: "use the token of somebody with that role",
	}
}

const localName = "local"

// Local is who uses a server that asks nobody for a token: it may do all.
func Local() Principal { return Principal{Name: localName, Roles: Roles()} }

// LocalUser is the user of an operating system who works on a store without a server:
// it may do all, and is called "local:" and the user's name.
func LocalUser(name string) Principal {
	return Principal{Name: localName + ":" + name, Roles: Roles()}
}

// isLocal reports whether somebody with a token would be taken for Local or LocalUser.
func isLocal(name string) bool { return name == localName || strings.HasPrefix(name, localName+":") }

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
