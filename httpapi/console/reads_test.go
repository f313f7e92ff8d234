package console_test

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/httpapi/console/consoletest"
)

// An opened store is a Driver again, so that its reads can be counted.
type opened struct{ *annals.Store }

func (o opened) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	return o.Store.Append(ctx, stream, expected, events...)
}

func (o opened) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return o.Store.Stream(ctx, stream, &annals.StreamOptions{From: from, To: to, Backward: backward})
}

func (o opened) End(ctx context.Context, after int64) (int64, error) {
	if after < 0 {
		return o.Store.End(ctx)
	}
	return o.WaitPast(ctx, after)
}

// On a large store no page reads many more events than it shows. What folds a state
// reads the events that it folds, and a store without a list of its streams is looked
// through as far as the page says.
func TestPagesOfALargeStoreReadLittle(t *testing.T) {
	f := consoletest.Big(t)
	driver := &meteredDriver{Driver: opened{f.Store}}
	handler := console.New(annals.New(driver, nil), &f.Options)
	waitFor(t, "what traces are about is read, once for all who look", func() bool {
		page := get(handler, console.Path+"services").Body.String()
		return strings.Contains(page, "Known since") && !strings.Contains(page, "being read")
	})
	most := map[string]int64{"streams": 1000, "state/" + consoletest.LongStream + "?version=1500": 1501}
	for _, address := range append(crawl(t, f.Handler),
		console.Path+"search?types=order-placed", console.Path+"search?sources=nobody&order=oldest", console.Path+"search?since=2100-01-01T00:00:00Z",
		console.Path+"streams/"+consoletest.LongStream+"?order=oldest", console.Path+"effects?handler=nobody", console.Path+"operators?who=nobody",
	) {
		driver.events.Store(0)
		w := get(handler, address)
		limit, is := most[strings.TrimPrefix(address, console.Path)]
		if !is {
			limit = 60
		}
		if n := driver.events.Load(); w.Code != http.StatusOK || n > limit {
			t.Errorf("%s: %d, %d events read", address, w.Code, n)
		}
	}
}
