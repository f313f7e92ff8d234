package kinesis

import (
	"context"
	"regexp"

	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/playback"
)

// streamName is what Kinesis takes as the name of a stream.
var streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// CheckName reports what is wrong with the name of a Kinesis stream.
func CheckName(stream string) error {
	if !streamName.MatchString(stream) {
		return annals.Invalid("stream", "%.140q is no name of a Kinesis stream: 1 to 128 letters, digits, _ . and -", stream)
	}
	return nil
}

// Target is a playback's target: a Kinesis stream, on which subscribers find the marked
// events, those of one stream in order. Events of different streams may lie in different
// shards, and come in any order. Several playbacks may share a stream.
//
// What a Run has written is there when it is recorded. A Run that goes on behind the
// record, or that lost a reply, puts events again; Reader.Playback passes over them.
// An event too large for a record (see Check) ends the playback; Check of the target
// looks at the name only, as the right to put gives no other.
func Target(client *sdk.Client, stream string, opts *WriterOptions) playback.Target {
	return &target{NewWriter(client, stream, opts)}
}

type target struct{ writer *Writer }

// Destination implements playback.Target.
func (t *target) Destination() playback.Destination {
	return playback.Destination{Kind: playback.KindKinesis, Name: t.writer.stream}
}

// Check implements playback.Target.
func (t *target) Check(context.Context, *annals.Store) error { return CheckName(t.writer.stream) }

// Open implements playback.Target.
func (t *target) Open(context.Context, *annals.Store, *playback.Playback, bool) error { return nil }

// Write implements playback.Target. It returns when all events are accepted, so that
// the next ones of a stream can't overtake them.
func (t *target) Write(ctx context.Context, events []annals.Event) error {
	return t.writer.Put(ctx, events)
}

// Flush implements playback.Target.
func (t *target) Flush(context.Context) (int64, error) { return 0, nil }

// Close implements playback.Target.
func (t *target) Close() error { return nil }
