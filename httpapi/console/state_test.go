package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest"
)

func (b *browsed) appendDocument() {
	b.t.Helper()
	for i, data := range []string{`{"total":10,"lines":[{"n":1},{"n":2}],"a/b":{"~":1}}`, `{"total":12.50,"lines":[{"n":1}],"a/b":{"~":2}}`, `{"total":null}`, `"no object"`} {
		b.append("order-1", annals.Event{Type: "changed", Data: []byte(data), Time: storetest.Epoch.Add(time.Duration(i) * time.Minute)})
	}
}

func TestStateAtEachVersionAndWhatChanged(t *testing.T) {
	b := browse(t)
	b.appendDocument()
	b.want("/console/state", "Stream <input")
	b.want("/console/state/order-1?version=1", "Version <b>1</b> of 4", "<code>the whole</code>", `"total": 10`, `href="/console/state/order-1?version=2"`)
	b.want("/console/state/order-1?version=2", "<code>/total</code>", "<del>10</del>", "<ins>12.50</ins>", "<code>/lines/1</code>", `<del>{&#34;n&#34;:2}</del>`, "<code>/a~1b/~0</code>", `"total": 12.50`)
	b.wantNot("/console/state/order-1?version=2", "/lines/0")
	b.want("/console/state/order-1?version=3", "<code>/total</code>", "<del>12.50</del>", "annals state order-1 --at-version 3 --store")
	b.wantNot("/console/state/order-1?version=3", "<ins>", `"total":`)
	b.want("/console/state?stream=order-1", "Version <b>4</b> of 4", "Nothing.")
	b.want("/console/state/order-1?time=2020-05-01T20:01:30Z", "Version <b>2</b> of 4", `value="2020-05-01T20:01:30Z"`)
	for path, status := range map[string]int{
		"order-1?version=5": 404, "order-1?version=x": 400, "order-1?time=x": 400, "order-1?time=2020-05-01T20:00:00Z&version=1": 400, "order-1?time=2019-05-01T20:00:00Z": 404, "none": 404, "a%20b": 400,
	} {
		b.get("/console/state/"+path, status)
	}
}

// The page shows what the API says, at every version.
func TestStateIsThatOfTheAPI(t *testing.T) {
	b := browse(t)
	b.appendDocument()
	for version := range int64(4) {
		want, err := httpapi.ReadState(t.Context(), b.store, "order-1", &httpapi.StateOptions{AtVersion: version + 1})
		if err != nil {
			t.Fatal(err)
		}
		page, read := b.get("/console/state/order-1?version="+string(rune('1'+version)), http.StatusOK)
		_, text, _ := strings.Cut(page, `aria-labelledby="document"><h2`)
		_, text, _ = strings.Cut(text, `aria-labelledby="document">`)
		text, _, _ = strings.Cut(text, "</pre>")
		text = strings.NewReplacer("&#34;", `"`, " ", "", "\n", "").Replace(text)
		if text != string(want.State) || read > int(version)+2 {
			t.Errorf("version %d shows %s and reads %d events, want %s", version+1, text, read, want.State)
		}
	}
}

// A stream that is too long to be folded for a page says so and what to do.
func TestStateOfALongStream(t *testing.T) {
	b := browse(t)
	b.many("counter", 10_001)
	b.want("/console/state/counter?version=10000", `"n": 10000`)
	for _, path := range []string{"/console/state/counter", "/console/state/counter?time=2030-01-01T00:00:00Z"} {
		page, read := b.get(path, http.StatusOK)
		if read > 10_003 || !strings.Contains(page, "a page folds at most 10000") || !strings.Contains(page, "--at-version 10001") || strings.Contains(page, "<h2 id=\"document\">") {
			t.Errorf("%s reads %d events and says\n%s", path, read, page)
		}
	}
}
