package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/httpapi/console/consoletest"
	"github.com/eb901187/annals/storetest"
)

// On a large store no page reads many more events than it shows. What folds a state
// reads the events that it folds, and a store without a list of its streams is looked
// through as far as the page says.
func TestPagesOfALargeStoreReadLittle(t *testing.T) {
	f := consoletest.Big(t)
	driver := &storetest.Counted{Driver: storetest.AsDriver{Store: f.Store}}
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
		before := driver.Read()
		w := get(handler, address)
		limit, is := most[strings.TrimPrefix(address, console.Path)]
		if !is {
			limit = 60
		}
		if n := driver.Read() - before; w.Code != http.StatusOK || n > limit {
			t.Errorf("%s: %d, %d events read", address, w.Code, n)
		}
	}
}
