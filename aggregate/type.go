package aggregate

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/eb901187/annals"
)

// A Type says what aggregates of one kind are: S is their state, E their events.
// It is safe for concurrent use where its functions are.
type Type[S, E any] struct {
	name   string
	schema *schema[E]
	evolve func(S, E) S
	opts   Options[S]
}

// Options changes how a Type works; nil means the defaults.
type Options[S any] struct {
	// Initial makes the state of an aggregate that has no events; the zero S by
	// default.
	Initial func() S
	// Stream names the stream of an aggregate by its id, and ID is its inverse,
	// false for streams of others. By default an aggregate's stream is the Type's
	// name, a hyphen and the id: account-7. Set both or neither. An id that ID does
	// not return for its stream is refused, as it might share it with another.
	Stream func(id string) string
	ID     func(stream string) (id string, ok bool)
	// SnapshotVersion, from 1, allows snapshots of the state. Raise it whenever S,
	// evolve or the meaning of an event changes: snapshots of other versions are
	// not used any more. 0 means that there are none.
	SnapshotVersion int
	// Snapshot says when Execute writes one; by default never. Those that exist
	// are used all the same.
	Snapshot SnapshotPolicy
}

// New makes a Type. Its name is of ASCII letters, digits and _ . : and, where
// Options.Stream is set, hyphens; with the default names of streams a hyphen is
// refused, because order-item-7 could then belong to two Types.
//
// evolve folds an event into a state. It is called for every event on every
// load, so that it must always return the same, and it can't fail: an event has
// happened. It may change the S that it is given and return it.
//
// The error, an *annals.InvalidError, lists all that is wrong.
func New[S, E any](name string, events Schema[E], evolve func(S, E) S, opts *Options[S]) (*Type[S, E], error) {
	t := &Type[S, E]{name: name, evolve: evolve}
	if opts != nil {
		t.opts = *opts
	}
	var bad problems
	t.checkName(&bad)
	if evolve == nil {
		bad.add("evolve", "must not be nil")
	}
	if (t.opts.Stream == nil) != (t.opts.ID == nil) {
		bad.add("options", "must have both Stream and ID, or neither")
	}
	if t.opts.SnapshotVersion < 0 || t.opts.Snapshot != nil && t.opts.SnapshotVersion == 0 {
		bad.add("options.SnapshotVersion", "must be at least 1 where there are snapshots")
	}
	t.schema = compile(events, &bad)
	if t.opts.Initial == nil {
		t.opts.Initial = func() (zero S) { return zero }
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// Must returns t and panics if err is not nil, for Types that are variables of a
// package: var accounts = aggregate.Must(aggregate.New(…)).
func Must[S, E any](t *Type[S, E], err error) *Type[S, E] {
	if err != nil {
		panic(err)
	}
	return t
}

const maxNameBytes = 100

func (t *Type[S, E]) checkName(bad *problems) {
	custom := t.opts.Stream != nil
	strange := func(r rune) bool {
		return !isLetterOrDigit(r) && !strings.ContainsRune("_.:", r) && !(custom && r == '-')
	}
	switch {
	case t.name == "" || len(t.name) > maxNameBytes || strings.HasPrefix(t.name, annals.OwnPrefix):
		bad.add("name", "must have 1 to %d bytes and not start with %s", maxNameBytes, annals.OwnPrefix)
	case strings.ContainsFunc(t.name, strange) && !custom:
		bad.add("name", "%q must hold ASCII letters, digits and _ . : only; with a hyphen, its streams could be those of another type", t.name)
	case strings.ContainsFunc(t.name, strange):
		bad.add("name", "%q must hold ASCII letters, digits and - _ . : only", t.name)
	}
}

// Name is the name that New was given.
func (t *Type[S, E]) Name() string { return t.name }

// Stream returns the name of an aggregate's stream. An id that is empty, that
// could share the stream with another or that makes no valid name is refused.
func (t *Type[S, E]) Stream(id string) (string, error) {
	if id == "" {
		return "", annals.Invalid("id", "of a %s must not be empty", t.name)
	}
	stream := t.stream(id)
	if err := annals.CheckStream(stream); err != nil {
		return "", &annals.Error{
			Code: annals.CodeOf(err), Err: err, Message: fmt.Sprintf("the id %q of a %s makes no name of a stream", id, t.name),
			Hint: "encode such ids, or set Options.Stream and Options.ID",
		}
	}
	if back, ok := t.ID(stream); !ok || back != id {
		return "", annals.Invalid("id", "%q of a %s shares the stream %s with the id %q", id, t.name, stream, back)
	}
	return stream, nil
}

func (t *Type[S, E]) stream(id string) string {
	if t.opts.Stream != nil {
		return t.opts.Stream(id)
	}
	return t.name + "-" + id
}

// ID returns the id of the aggregate that stream belongs to; false if it is not
// one of this Type.
func (t *Type[S, E]) ID(stream string) (id string, ok bool) {
	if t.opts.ID != nil {
		return t.opts.ID(stream)
	}
	id, ok = strings.CutPrefix(stream, t.name+"-")
	return id, ok && id != ""
}

// Initial is the state of an aggregate that has no events.
func (t *Type[S, E]) Initial() S { return t.opts.Initial() }

// Evolve folds events into s, which it may change.
func (t *Type[S, E]) Evolve(s S, events ...E) S {
	for _, e := range events {
		s = t.evolve(s, e)
	}
	return s
}

// An EventInfo says how an event of today is stored.
type EventInfo struct {
	Name     string
	Version  int          // of its schema
	Go       reflect.Type // that holds its data
	Formerly []string     // names that Schema.Renamed leads here from
}

// Events are the events of today, in the order of Schema.Events.
func (t *Type[S, E]) Events() []EventInfo {
	var all []EventInfo
	for _, v := range t.schema.variants {
		all = append(all, EventInfo{v.name, v.version, v.goType, t.schema.formerly[v.name]})
	}
	return all
}

// Wrap makes an E of the event called name from its data, a value of the Go type
// that Events says.
func (t *Type[S, E]) Wrap(name string, data any) (E, error) {
	for _, v := range t.schema.variants {
		if v.name != name {
			continue
		}
		if e, ok := v.wrap(data); ok {
			return e, nil
		}
	}
	var none E
	return none, annals.Invalid("data", "is a %T, which %s has no event %q of", data, t.name, name)
}

// CheckState reports what a snapshot of s would lose; nil if the Type has no
// snapshots.
func (t *Type[S, E]) CheckState(s S) error {
	if t.opts.SnapshotVersion == 0 {
		return nil
	}
	_, err := t.encodeState(s)
	return err
}
