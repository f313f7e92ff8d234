package sink

import (
	"context"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
	"github.com/eb901187/annals/tracking"
)

// ToStore delivers to a store, which stays the caller's to close: the events of one
// stream as one commit, streams side by side.
func ToStore(store *annals.Store) tracking.Sink {
	return &toStore{ingest.Receiver{Store: store}}
}

type toStore struct{ receiver ingest.Receiver }

// receiveAtOnce is far below ingest.MaxBatchMessages.
const receiveAtOnce = 5000

// Deliver implements tracking.Sink.
func (s *toStore) Deliver(ctx context.Context, events []annals.Event) error {
	good, refused := storable(events)
	errs := []error{refused}
	for part := range slices.Chunk(good, receiveAtOnce) {
		deliveries := make([]ingest.Delivery, len(part))
		for i := range part {
			deliveries[i] = ingest.Delivery{ID: part[i].ID, Body: part[i].AppendJSON(nil, true)}
		}
		for i, outcome := range s.receiver.Receive(ctx, deliveries) {
			for _, m := range outcome.Messages {
				if m.Status == ingest.Failed || m.Status == ingest.Refused {
					errs = append(errs, about(&part[i], m.Reason))
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return first(errs...)
}
