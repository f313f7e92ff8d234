package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

func TestSearchFindsByEveryField(t *testing.T) {
	b := browse(t)
	b.want("/console/search", "No event matches here.")
	for i := range 60 {
		b.append(fmt.Sprint("order-", i), annals.Event{
			Type: fmt.Sprint("type-", i%2), Source: fmt.Sprint("shop ", i%3), Correlation: fmt.Sprint("r-", i/2), Time: storetest.Epoch.Add(time.Duration(i) * time.Hour),
		})
	}
	for query, want := range map[string]string{
		"types=type-1,+type-7&sources=shop+0":                           "57 51 45 39 33 27 21 15 9 3",
		"correlation=r-4":                                               "9 8",
		"prefix=order-5&order=oldest":                                   "5 50 51 52 53 54 55 56 57 58 59",
		"since=2020-05-01T22:00:00Z&before=2020-05-02T00:00:00%2B02:00": "", // the same moment
		"since=2020-05-01T21:00:00Z&before=2020-05-02T01:00:00%2B02:00": "2 1",
		"at=3&limit=2":               "2 1",
		"at=58&order=oldest":         "57 58 59",
		"at=99&limit=1":              "59",
		"at=99&limit=1&order=oldest": "",
		"types=none":                 "",
	} {
		page, read := b.get("/console/search?"+query, http.StatusOK)
		shown := 0
		for number := range strings.FieldsSeq(want) {
			shown++
			if !strings.Contains(page, `>order-`+number+`@1<`) {
				t.Errorf("%s does not show order-%s", query, number)
			}
		}
		if n := strings.Count(page, "@1</a></td>"); n != shown || read != shown {
			t.Errorf("%s shows %d events and reads %d, want %d", query, n, read, shown)
		}
	}
}

// Every page of a search is an address, and going on shows each event once.
func TestSearchGoesOnWhereItEnded(t *testing.T) {
	b := browse(t)
	b.many("counter", 130)
	b.many("other", 130)
	for _, order := range []string{"newest", "oldest"} {
		path, seen := "/console/search?prefix=counter&limit=40&order="+order, map[string]bool{}
		for pages := 0; path != ""; pages++ {
			page, read := b.get(path, http.StatusOK)
			if read > 40 || pages > 10 {
				t.Fatalf("page %d of %s read %d events", pages, order, read)
			}
			for _, part := range strings.Split(page, `href="/console/event/counter?version=`)[1:] {
				version, _, _ := strings.Cut(part, `"`)
				if strings.HasPrefix(part[len(version):], `">counter@`) && seen[version] {
					t.Fatalf("version %s is shown twice", version)
				}
				seen[version] = true
			}
			_, rest, _ := strings.Cut(page, `<a rel="next" href="`)
			path, _, _ = strings.Cut(rest, `"`)
			path = strings.ReplaceAll(path, "&amp;", "&")
		}
		if len(seen) != 130 {
			t.Fatalf("%s shows %d events", order, len(seen))
		}
	}
}

// Where no list leads to the events, a page looks at a part of the log only, and says
// which.
func TestSearchByPrefixLooksAtAPartOfTheLog(t *testing.T) {
	b := browse(t)
	b.many("early", 10)
	b.many("filler", 50_000)
	b.want("/console/search?prefix=early", "No event matches here.", "Positions 11 to 50010 were looked at.", "at=10&amp;prefix=early")
	b.want("/console/search?prefix=early&at=10", "early@10", "Positions 1 to 10 were looked at.")
	b.want("/console/search?prefix=early&order=oldest", "early@1", "Positions 1 to 50000 were looked at.", "at=50001")
}

func TestSearchShowsWhatIsWrongBesideTheField(t *testing.T) {
	b := browse(t)
	b.many("counter", 3)
	for query, fields := range map[string]string{
		"since=yesterday": "since", "before=1&at=0": "before at", "at=x": "at", "limit=201": "limit", "limit=0": "limit", "types=a+b": "types", "prefix=a+b": "prefix",
		"correlation=a%00b": "correlation", "sources=" + strings.Repeat("x", 600): "sources", "types=" + strings.Repeat("a,", 101): "types",
	} {
		page, _ := b.get("/console/search?"+query, http.StatusBadRequest)
		for field := range strings.FieldsSeq(fields) {
			if !strings.Contains(page, `id="error-`+field+`"`) {
				t.Errorf("%.50s shows no error of %s:\n%s", query, field, page)
			}
		}
	}
	b.want("/console/search?correlation=it's", `--correlation 'it'\''s'`, "application/x-ndjson", `href="/v1/events?backward=true&amp;correlation=it%27s&amp;limit=50"`)
}
