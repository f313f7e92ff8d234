package aggregate

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/eb901187/annals"
)

// Where snapshots are.
const (
	// SnapshotPrefix starts the names of streams that hold snapshots: it is followed
	// by the name of the aggregate's stream. These streams can be left out of
	// playbacks and forks; and they hold copies of data that a mask would have
	// hidden, so that they should be.
	SnapshotPrefix = annals.OwnPrefix + "snapshots/"
	// SnapshotType is the type of the events in them.
	SnapshotType = annals.OwnPrefix + "snapshot"
)

// Attributes of a snapshot. The version that it is of is its causation.
const (
	attrAggregate = "aggregate"       // the Type's name
	attrSnapshot  = "snapshotversion" // Options.SnapshotVersion
	attrEvent     = "eventid"         // of the last event that is in the state
)

// subjects are the data subjects that the events folded into a state name. A snapshot
// of the data of one names it too, so that it is erased with it; of several there is
// none.
type subjects struct {
	one     string
	several bool
}

func (s *subjects) add(e *annals.Event) {
	name := e.Subject()
	if name == "" || e.Erased() {
		return
	}
	s.several = s.several || s.one != "" && s.one != name
	s.one = name
}

// A SnapshotPolicy says whether Execute writes a snapshot after it has appended.
type SnapshotPolicy func(SnapshotInfo) bool

// SnapshotInfo is what a SnapshotPolicy decides by.
type SnapshotInfo struct {
	Stream  string
	Version int64 // of the aggregate now
	Last    int64 // version of the snapshot that it was loaded from; 0 for none
}

// Every is the policy of a snapshot after every n events, or a few more where a
// command has several; n below 1 counts as 1.
func Every(n int64) SnapshotPolicy {
	return func(s SnapshotInfo) bool { return s.Version-s.Last >= n }
}

var errOtherHistory = errors.New("the snapshot is of events that the stream does not have")

// snapshot writes one if the policy says so. It never fails the command, whose
// events are stored.
func (r *Repository[S, E]) snapshot(ctx context.Context, at *loaded[S]) {
	policy := r.typ.opts.Snapshot
	if policy == nil || at.subjects.several || !policy(SnapshotInfo{at.stream, at.version, at.base}) {
		return
	}
	if err := r.writeSnapshot(ctx, at); err != nil {
		r.opts.SnapshotFailed(ctx, at.stream, fmt.Errorf("writing the snapshot of version %d: %w", at.version, err))
	}
}

func (r *Repository[S, E]) writeSnapshot(ctx context.Context, at *loaded[S]) error {
	name := SnapshotPrefix + at.stream
	if err := annals.CheckStream(name); err != nil {
		return err
	}
	data, err := r.typ.encodeState(at.state)
	if err != nil {
		return err
	}
	// Only the store knows the ids that it gave.
	var id string
	for e, err := range r.store.Stream(ctx, at.stream, &annals.StreamOptions{From: at.version, To: at.version}) {
		if err != nil {
			return err
		}
		id = e.ID
	}
	e := annals.Event{
		Type: SnapshotType, Causation: at.stream + "@" + strconv.FormatInt(at.version, 10), ContentType: r.typ.schema.codec.ContentType(), Data: data,
		Attributes: map[string]string{attrAggregate: r.typ.name, attrSnapshot: r.typ.snapshotVersion(), attrEvent: id},
	}
	if at.subjects.one != "" {
		e.Attributes[annals.SubjectAttribute] = at.subjects.one
	}
	_, err = r.store.Append(ctx, name, annals.Any, e)
	return err
}

// restore returns the state of the newest snapshot, to be read on from the event
// that it ends with, so that this is seen to exist. It returns nil where there is
// none that can be used for a load up to version to.
func (r *Repository[S, E]) restore(ctx context.Context, stream string, to int64) *loaded[S] {
	name := SnapshotPrefix + stream
	if r.typ.opts.SnapshotVersion == 0 || len(name) > annals.MaxStreamBytes {
		return nil
	}
	for e, err := range r.store.Stream(ctx, name, &annals.StreamOptions{Backward: true, Limit: 1}) {
		if err != nil {
			if ctx.Err() == nil {
				r.opts.SnapshotFailed(ctx, stream, fmt.Errorf("reading the newest snapshot: %w", err))
			}
			return nil
		}
		of, version, err := annals.ParseCausation(e.Causation)
		if e.Erased() || err != nil || of != stream || e.Type != SnapshotType || e.Attributes[attrAggregate] != r.typ.name ||
			e.Attributes[attrSnapshot] != r.typ.snapshotVersion() || version > to {
			return nil
		}
		at := &loaded[S]{stream: stream, version: version - 1, base: version, baseID: e.Attributes[attrEvent]}
		at.subjects.add(&e)
		if at.state, err = r.typ.decodeState(&e); err != nil {
			r.opts.SnapshotFailed(ctx, stream, fmt.Errorf("decoding the snapshot of version %d: %w", version, err))
			return nil
		}
		return at
	}
	return nil
}

func (t *Type[S, E]) snapshotVersion() string { return strconv.Itoa(t.opts.SnapshotVersion) }

// encodeState refuses a state that would not come back as it is.
func (t *Type[S, E]) encodeState(s S) ([]byte, error) {
	codec := t.schema.codec
	data, err := codec.Encode(s)
	var again S
	if err == nil {
		err = codec.Decode(data, &again)
	}
	if err == nil {
		err = t.schema.lost(s, again, true)
	}
	switch {
	case err != nil:
		return nil, notEncoded("the state of a "+t.name, s, err)
	case len(data) > annals.MaxDataBytes:
		return nil, &annals.InvalidError{Code: annals.CodeTooLarge, Violations: []annals.Violation{
			{Field: "state", Message: fmt.Sprintf("of a %s takes %d bytes, the limit of a snapshot is %d", t.name, len(data), annals.MaxDataBytes)},
		}}
	}
	return data, nil
}

func (t *Type[S, E]) decodeState(e *annals.Event) (s S, err error) {
	codec, err := t.schema.codecOf(e)
	if err == nil {
		err = codec.Decode(e.Data, &s)
	}
	return s, err
}
