package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
)

// sealClosed seals the runs that are closed, so that no more than one stays
// unsealed behind them.
func (s *Sequencer) sealClosed(ctx context.Context) error {
	for len(s.view.now.pages) > 0 {
		pages := s.view.now.pages
		n := 1
		for n < len(pages) && pages[n].run == pages[0].run {
			n++
		}
		if n == len(pages) {
			return nil
		}
		if err := s.calls.seal(renamed(ctx, "seal"), pages[:n]); err != nil {
			return fmt.Errorf("sealing the run at position %d: %w", pages[0].first, err)
		}
		if err := s.view.readRuns(ctx); err != nil {
			return err
		}
	}
	return nil
}

// seal writes the object and the index of a run, then says so, and only then
// takes the events from its pages. Doing it again, or twice at once, writes the
// same.
func (c *calls) seal(ctx context.Context, pages []page) error {
	r := run{first: pages[0].first, last: pages[len(pages)-1].last}
	var text []byte
	var all part
	for i := range pages {
		text = append(text, pages[i].text...)
		all.add(pages[i].part)
	}
	r.times(all.events)
	i := item{
		attrKey: textValue(keyRun), attrAt: numberValue(r.first), attrLast: numberValue(r.last),
		attrSince: numberValue(r.oldest), attrNew: numberValue(r.newest),
	}
	if c.s3 != nil {
		packed := packPart(text, all.ties)
		r.hash = hashOf(packed)
		r.object = c.key(runsPrefix, fmt.Sprintf("%019d-%s", r.first, r.hash[:16]))
		if err := c.putObject(ctx, r.object, packed); err != nil {
			return err
		}
		i[attrObject], i[attrHash] = textValue(r.object), textValue(r.hash)
	}
	if err := c.writeIndex(ctx, r, all.events); err != nil {
		return err
	}
	if _, _, err := c.put(ctx, c.logTable(), i); err != nil && !errors.Is(err, errTaken) {
		return err
	}
	return c.strip(ctx, pages)
}

func (c *calls) writeIndex(ctx context.Context, r run, events []annals.Event) error {
	var items []item
	for _, p := range indexRun(r, events) {
		items = append(items, p.item())
	}
	return c.write(ctx, c.logTable(), items)
}

// strip leaves markers of the pages of a sealed run. Without a bucket they keep
// its events.
func (c *calls) strip(ctx context.Context, pages []page) error {
	if c.s3 == nil {
		return nil
	}
	var markers []item
	for i := range pages {
		markers = append(markers, pages[i].markerItem(c.clock()))
	}
	if err := c.write(ctx, c.logTable(), markers); err != nil {
		return err
	}
	for i := range pages {
		if pages[i].object != "" {
			c.dropObject(ctx, pages[i].object)
		}
	}
	return nil
}

// finishSealing strips the last run's pages, in case whoever sealed it stopped
// before that.
func (s *Sequencer) finishSealing(ctx context.Context) error {
	if len(s.view.now.runs) == 0 || s.calls.s3 == nil {
		return nil
	}
	last := s.view.now.runs[len(s.view.now.runs)-1]
	var left []page
	for i, err := range s.calls.query(ctx, s.calls.logTable(), span{pk: keyLog, from: last.first, to: last.last}) {
		if err != nil {
			return err
		}
		p := page{first: i.number(attrAt), last: i.number(attrLast), run: i.number(attrRun), object: i.text(attrObject)}
		if i[attrUntil] == nil {
			left = append(left, p)
		}
	}
	return s.calls.strip(ctx, left)
}
