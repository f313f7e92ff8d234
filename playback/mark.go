package playback

import (
	"fmt"
	"maps"
	"strconv"

	"github.com/eb901187/annals"
)

// The attributes that a replayed event has beside its own.
const (
	// AttributeID holds the id of the playback.
	AttributeID = "playback"
	// AttributeOf says which event of the source this is, as stream@version.
	AttributeOf = "playbackof"
)

// Mark returns e as the playback called id sends it: with AttributeID and AttributeOf,
// which replace those of an earlier playback. e is not changed.
// Error: annals.ErrTooLarge if e has no room for two more attributes.
func Mark(e annals.Event, id string) (annals.Event, error) {
	marked := make(map[string]string, len(e.Attributes)+2)
	maps.Copy(marked, e.Attributes)
	marked[AttributeID] = id
	marked[AttributeOf] = e.Stream + "@" + strconv.FormatInt(e.Version, 10)
	if len(marked) > annals.MaxAttributes {
		return e, &annals.Error{
			Code:    annals.CodeTooLarge,
			Message: fmt.Sprintf("event %s has %d attributes, so that the two that mark it as replayed don't fit: the limit is %d", marked[AttributeOf], len(e.Attributes), annals.MaxAttributes),
			Hint:    "leave that event out by --types, --streams or positions",
		}
	}
	e.Attributes = marked
	return e, nil
}

// replayedBy says which version of its source stream e is, if the playback called id
// has sent it.
func replayedBy(e *annals.Event, id string) (version int64, ok bool) {
	if e.Attributes[AttributeID] != id {
		return 0, false
	}
	_, version, err := annals.ParseCausation(e.Attributes[AttributeOf])
	return version, err == nil
}
