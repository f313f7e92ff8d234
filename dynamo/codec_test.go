package dynamo

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

func TestLinesKeepEveryField(t *testing.T) {
	at := time.Date(2020, 5, 1, 20, 0, 0, 123456789, time.UTC)
	for _, e := range []annals.Event{
		{ID: "1", Type: "T", Source: "s", Time: at, ContentType: annals.JSONContentType},
		{ID: "ä\"\\", Type: "T", Source: "s", Time: at, ContentType: annals.JSONContentType, Data: []byte(`{"datacontenttype":"application/json","x":1,"datacontenttype2":"application/json"}`)},
		{ID: "1", Type: "T", Source: `a`, Time: at, ContentType: "text/plain", Data: []byte(`,"datacontenttype":"application/json"`)},
		{ID: "1", Type: "T", Source: "s", Time: at, ContentType: "application/vnd.x+json", Data: []byte(`[1,{"a":",\"datacontenttype\":\"application/json\""}]`)},
		{ID: "1", Type: "T", Source: "s", Time: at, ContentType: annals.JSONContentType, Data: []byte(" {\n} "), Correlation: "r", Causation: "a@1",
			Attributes: map[string]string{"subject": "x", "specversion2": "1"}, Stream: "a", Version: 7},
	} {
		line := appendLine(nil, &e)
		if bytes.Count(line, []byte("\n")) != 1 || bytes.Contains(line[:min(len(line), 20)], []byte("specversion")) {
			t.Errorf("the line is %q", line)
		}
		back, err := parseLine(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("put %+v, got %+v, %v", e, back, err)
		}
	}
}

func TestBodiesAreReadableWhereThatCostsNoMore(t *testing.T) {
	for _, c := range []struct {
		text     string
		readable bool
	}{
		{`{"id":"1"}`, true},
		{strings.Repeat("a", 900), true},
		{strings.Repeat("a", 5000), false},
	} {
		i := item{attrStream: textValue("a")}
		value := attribute(i, []byte(c.text+"\n"))
		i[attrEvents] = value
		if readable := i.text(attrEvents) != ""; readable != c.readable {
			t.Errorf("%d bytes: readable %t", len(c.text), readable)
		}
		if text, err := inlineText(i, "a"); err != nil || string(text) != c.text+"\n" {
			t.Errorf("%d bytes came back as %d, %v", len(c.text), len(text), err)
		}
	}
}

func FuzzPlaces(f *testing.F) {
	f.Add([]byte{0, 1, 5, 3}, int64(7), int64(4))
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1}, int64(1), int64(9))
	f.Fuzz(func(t *testing.T, b []byte, from, most int64) {
		most = max(0, most%10000)
		places := unpackPlaces(b, from, most)
		if int64(len(places)) > most {
			t.Fatalf("%d places of %d", len(places), most)
		}
		if from < 0 || from > math.MaxInt32 || !slices.IsSorted(places) || len(places) > 0 && places[0] < from {
			return
		}
		if compact := slices.Compact(slices.Clone(places)); len(compact) < len(places) {
			return
		}
		if again := unpackPlaces(packPlaces(places, from), from, most); !slices.Equal(again, places) {
			t.Fatalf("%v became %v", places, again)
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"id":"1","type":"T","data":{}}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseLine(line)
		if err != nil {
			return
		}
		back, err := parseLine(bytes.TrimSuffix(appendLine(nil, &e), []byte("\n")))
		if err != nil || back.ID != e.ID || back.Type != e.Type || !bytes.Equal(back.Data, e.Data) || !back.Time.Equal(e.Time) {
			t.Fatalf("%q gave %+v and then %+v, %v", line, e, back, err)
		}
	})
}

func TestAddresses(t *testing.T) {
	for _, s := range []string{
		"dynamodb://orders", "dynamodb://orders?region=eu-central-1", "dynamodb://or.d_er-s?region=eu-central-1&bucket=bbb",
		"dynamodb://orders?region=us-east-1&bucket=bbb&endpoint=http://127.0.0.1:8000&s3endpoint=http://127.0.0.1:9000",
	} {
		a, err := ParseAddress(s)
		if err != nil || a.String() != s {
			t.Errorf("%s became %s, %v", s, a, err)
		}
	}
	for _, s := range []string{
		"", "dynamodb://", "dynamodb://a", "dynamodb://orders/x", "dynamodb://orders?bucket=", "dynamodb://orders?bucket=BIG", "dynamodb://orders?zone=x", "dynamodb://orders?bucket=a&bucket=bbb",
		"dynamodb://orders?endpoint=127.0.0.1:8000", "dynamodb://user@orders", "http://orders", "dynamodb://or ders", "dynamodb://orders#x", "dynamodb://orders?a=%zz",
		"dynamodb://user:planted@orders", "postgres://user:planted@orders", "dynamodb://orders?endpoint=user:planted@h", "dynamodb://orders?s3endpoint=http://user:planted@h",
	} {
		if a, err := ParseAddress(s); annals.CodeOf(err) != annals.CodeInvalid || strings.Contains(err.Error(), "planted") {
			t.Errorf("%q became %+v, %v", s, a, err)
		}
	}
}

// Who follows the log for long keeps a bounded part of it.
func TestFollowingHoldsFewPages(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	d := mustOpen(t, address, &Options{Poll: time.Millisecond, sizes: &smallSizes})
	sequencing(t, mustOpen(t, address, &Options{Poll: time.Millisecond, sizes: &smallSizes}))
	store := annals.New(d, nil)
	append3(t, store, "s")
	most := 0
	for e, err := range store.Follow(t.Context(), annals.Query{Limit: 300}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position%3 != 0 {
			continue
		}
		append3(t, store, fmt.Sprint("s", e.Position%4))
		<-d.view.turn
		most = max(most, len(d.view.now.pages)+len(d.view.recent))
		d.view.turn <- struct{}{}
	}
	if runs := len(d.view.now.runs); runs < 10 {
		t.Fatalf("only %d runs were sealed", runs)
	}
	if limit := 3*int(smallSizes.runPages) + recentRuns; most > limit {
		t.Errorf("a follower held %d pages and runs, want at most %d", most, limit)
	}
}

func append3(t *testing.T, s *annals.Store, stream string) {
	t.Helper()
	for range 3 {
		if _, err := s.Append(t.Context(), stream, annals.Any, annals.Event{Type: "T"}); err != nil {
			t.Fatal(err)
		}
	}
}
