package dynamo

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cespare/xxhash/v2"
)

// Reindex sequences every commit of the events table that the log does not hold:
// all of them where the log is empty, in the order of their times as far as their
// streams allow. Then it writes the postings of sealed runs that are missing or
// wrong. It reads both tables and the log. progress, if it is not nil, is told
// how many commits were looked at. It returns how many commits it sequenced.
func (d *Driver) Reindex(ctx context.Context, progress func(int64)) (int64, error) {
	ctx, done, err := d.begin(ctx, "reindex")
	if err != nil {
		return 0, err
	}
	defer done()
	n, err := d.calls.reindex(ctx, newSequencer(d.calls), progress)
	if err == nil {
		err = d.mendIndex(ctx)
	}
	return n, d.ended(err)
}

// mendIndex compares the postings there are with those that the runs make.
func (d *Driver) mendIndex(ctx context.Context) error {
	log, err := d.view.refresh(ctx)
	if err != nil {
		return err
	}
	there := map[uint64]uint64{} // hashes of postings by those of their names
	for i, err := range d.calls.scan(ctx, d.calls.logTable()) {
		if err != nil {
			return err
		}
		if isPosting(i) {
			there[xxhash.Sum64String(postingName(i.text(attrKey), i.number(attrAt)))] = itemSum(i)
		}
	}
	for _, r := range log.runs {
		held, err := d.calls.runPart(ctx, r)
		if err != nil {
			return err
		}
		var items []item
		for _, p := range indexRun(r, held.events) {
			if i := p.item(); there[xxhash.Sum64String(postingName(p.key, p.run))] != itemSum(i) {
				items = append(items, i)
			}
		}
		if err := d.calls.write(ctx, d.calls.logTable(), items); err != nil {
			return err
		}
	}
	return nil
}

// missing is a commit that the log does not hold.
type missing struct {
	stream string
	first  int64
	time   time.Time
}

func (c *calls) reindex(ctx context.Context, seq *Sequencer, progress func(int64)) (int64, error) {
	if err := seq.look(ctx); err != nil {
		return 0, err
	}
	found, err := c.missing(ctx, seq, progress)
	if err != nil {
		return 0, err
	}
	slices.SortStableFunc(found, func(a, b missing) int {
		return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.stream, b.stream), cmp.Compare(a.first, b.first))
	})
	for part := range slices.Chunk(found, getBatch) {
		items, err := c.getMany(ctx, part)
		if err != nil {
			return 0, err
		}
		if err := seq.Sequence(ctx, items); err != nil {
			return 0, err
		}
	}
	return int64(len(found)), nil
}

// missing scans the events table. A scan gives the items of one stream together
// and in order.
func (c *calls) missing(ctx context.Context, seq *Sequencer, progress func(int64)) (found []missing, err error) {
	const part = 1000
	var commits []stored
	var last missing
	n := int64(0)
	look := func() error {
		n += int64(len(commits))
		if progress != nil {
			progress(n)
		}
		if err := seq.lookUpAll(ctx, commits); err != nil {
			return err
		}
		for i := range commits {
			s := &commits[i]
			m := missing{s.stream, s.first, s.time}
			if m.stream == last.stream && m.time.Before(last.time) {
				m.time = last.time // a clock that went back must not put a commit before those it follows
			}
			if last = m; s.first >= seq.next[s.stream] {
				found = append(found, m)
			}
		}
		commits = commits[:0]
		return seq.bound(ctx)
	}
	for i, err := range c.scan(ctx, c.eventsTable()) {
		if err != nil {
			return nil, err
		}
		s, err := newStored(i)
		if err != nil {
			return nil, err
		}
		s.item = nil // only its key is needed
		if commits = append(commits, s); len(commits) == part {
			if err := look(); err != nil {
				return nil, err
			}
		}
	}
	return found, look()
}

// getBatch is how many items one BatchGetItem gives.
const getBatch = 100

// getMany reads commits strongly, in the order asked for.
func (c *calls) getMany(ctx context.Context, wanted []missing) ([]map[string]types.AttributeValue, error) {
	t := c.eventsTable()
	keys := make([]map[string]types.AttributeValue, len(wanted))
	for i, m := range wanted {
		keys[i] = t.key(m.stream, m.first)
	}
	type key struct {
		stream string
		first  int64
	}
	got := map[key]item{}
	for try := 0; len(keys) > 0; try++ {
		if try > 0 {
			if err := c.pause(ctx, min(time.Second, 20*time.Millisecond<<min(try, 10))); err != nil {
				return nil, err
			}
		}
		tally := &tries{}
		out, err := c.db.BatchGetItem(context.WithValue(ctx, triesKey{}, tally), &dynamodb.BatchGetItemInput{
			RequestItems:           map[string]types.KeysAndAttributes{t.name: {Keys: keys, ConsistentRead: aws.Bool(true)}},
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			c.count(ctx, tally.once(0, 0))
			return nil, c.failed(ctx, "BatchGetItem", t.name, err)
		}
		used := 0.0
		for i := range out.ConsumedCapacity {
			used += units(&out.ConsumedCapacity[i])
		}
		c.count(ctx, tally.once(0, used))
		for _, i := range out.Responses[t.name] {
			got[key{item(i).text(attrStream), item(i).number(attrVersion)}] = i
		}
		keys = out.UnprocessedKeys[t.name].Keys
	}
	items := make([]map[string]types.AttributeValue, 0, len(wanted))
	for _, m := range wanted {
		if i := got[key{m.stream, m.first}]; i != nil {
			items = append(items, i)
		}
	}
	return items, nil
}
