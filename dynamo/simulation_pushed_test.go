package dynamo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
)

// pushed is a function that numbers what it is given, as Lambda gives batches of the
// table's stream: in any order between batches and, after another one's failure, in
// them; again, as long as one fails and sometimes when none did; and late. Those of
// two functions overlap.
func (s *simulation) pushed(ctx context.Context, a *actor) error {
	seq := newSequencer(s.calls())
	for {
		batch := s.batch()
		for tries := 0; ; tries++ {
			err := seq.Sequence(ctx, batch)
			switch {
			case ctx.Err() != nil:
				return errCrash
			case err != nil && annals.CodeOf(err) == annals.CodeDamaged:
				return err
			}
			if err == nil {
				break
			}
			if s.random.IntN(4) == 0 {
				seq = newSequencer(s.calls()) // another instance gets it
			}
			_ = s.park()
		}
		if err := s.numbered(batch); err != nil {
			return err
		}
		_ = s.park()
	}
}

// aside does something to the world that no actor does, without faults.
func (s *simulation) aside(f func()) {
	a := s.active
	s.active = nil
	f()
	s.active = a
}

// batch draws commits that are in the table.
func (s *simulation) batch() (items []map[string]types.AttributeValue) {
	s.aside(func() {
		c := s.calls()
		var all []map[string]types.AttributeValue
		for i, err := range c.scan(context.Background(), c.eventsTable()) {
			if err == nil {
				all = append(all, i)
			}
		}
		if len(all) == 0 {
			return
		}
		for range 1 + s.random.IntN(5) {
			items = append(items, all[s.random.IntN(len(all))])
		}
	})
	return items
}

// numbered wants each commit of a batch that was taken to be in the log, once.
func (s *simulation) numbered(batch []map[string]types.AttributeValue) (err error) {
	if s.random.IntN(3) > 0 {
		return nil
	}
	s.aside(func() {
		var all []string
		for e, failed := range annals.New(newDriver(s.calls(), nil, time.Second), nil).Log(context.Background(), annals.Query{}) {
			if err = failed; err != nil {
				return
			}
			all = append(all, eventName(e.Stream, e.Version))
		}
		for _, i := range batch {
			name := eventName(item(i).text(attrStream), item(i).number(attrVersion))
			first := slices.Index(all, name)
			if first < 0 || slices.Contains(all[first+1:], name) {
				err = fmt.Errorf("%s was sequenced, and the log holds %v", name, all)
				return
			}
		}
	})
	return err
}
