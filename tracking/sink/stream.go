package sink

import (
	"context"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/kinesis"
	"github.com/eb901187/annals/tracking"
)

// ToStream delivers to a Kinesis stream, of which the function pump takes up the events.
// How often it tries within one delivery is the writer's.
func ToStream(writer *kinesis.Writer) tracking.Sink { return &toStream{writer} }

type toStream struct{ writer *kinesis.Writer }

// Deliver implements tracking.Sink.
func (s *toStream) Deliver(ctx context.Context, events []annals.Event) error {
	good, invalid := storable(events)
	good, tooLarge := passing(good, kinesis.Check)
	if len(good) > 0 {
		if err := s.writer.Put(ctx, good); err != nil {
			return err
		}
	}
	return first(invalid, tooLarge)
}
