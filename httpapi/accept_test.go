package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
)

// A shelf keeps what it accepts.
type shelf struct {
	events   []annals.Event
	statuses []ingest.Status // if set, what it says with an error
}

func (s *shelf) Check(e *annals.Event) error {
	if len(e.Data) > 100 {
		return &annals.Error{Code: annals.CodeTooLarge, Message: "event " + e.ID + " does not fit on the shelf"}
	}
	return nil
}

func (s *shelf) Accept(_ context.Context, events []annals.Event) ([]ingest.Status, error) {
	if s.statuses != nil {
		return s.statuses, errors.New("the shelf broke")
	}
	s.events = append(s.events, events...)
	return nil, nil
}

func accepting(t *testing.T) (live, *shelf) {
	t.Helper()
	shelf, n := &shelf{}, 0
	return start(t, Options{Accept: shelf, NewID: func() string { n++; return fmt.Sprintf("new-%d", n) }}), shelf
}

const (
	trackingMessage = `{"id":"7","requestId":"req-1","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"Gateway","data":{"a":null,"b":0}}`
	commandBody     = `{"aggregateId":"account-1","eventType":"deposited","eventData":{"amount":10}}`
)

func TestAccept(t *testing.T) {
	for _, c := range []struct {
		body, ids string
		headers   []string
		want      []string
	}{
		{trackingMessage, `["7"]`, []string{isJSON}, []string{
			`{"specversion":"1.0","id":"7","type":"T","source":"Gateway","time":"2020-05-01T20:00:00Z","stream":"req-1","correlation":"req-1","datacontenttype":"application/json","data":{"b":0}}`}},
		{"[" + commandBody + "," + commandBody + "]", `["new-1","new-2"]`, nil, []string{
			`{"specversion":"1.0","id":"new-1","type":"deposited","source":"annals","stream":"account-1","datacontenttype":"application/json","data":{"amount":10}}`,
			`{"specversion":"1.0","id":"new-2","type":"deposited","source":"annals","stream":"account-1","datacontenttype":"application/json","data":{"amount":10}}`}},
		{trackingMessage + "\n" + `{"specversion":"1.0","id":"8","source":"/s","type":"T","subject":"b","version":"7"}`, `["7","8"]`, []string{"Content-Type: application/x-ndjson"}, []string{
			``, `{"specversion":"1.0","id":"8","type":"T","source":"/s","stream":"b","subject":"b","datacontenttype":"application/json"}`}},
		{"\x00\xff", `["9"]`, []string{"Content-Type: application/octet-stream", "Ce-Specversion: 1.0", "Ce-Id: 9", "Ce-Source: /s", "Ce-Type: T", "Ce-Stream: c"}, []string{
			`{"specversion":"1.0","id":"9","type":"T","source":"/s","stream":"c","datacontenttype":"application/octet-stream","data_base64":"AP8="}`}},
	} {
		s, shelf := accepting(t)
		status, _, text := s.do(t, "POST", "/v1/ingest", c.body, c.headers...)
		if want := fmt.Sprintf("{\"messages\":%d,\"ids\":%s}\n", len(c.want), c.ids); status != 202 || text != want {
			t.Errorf("%s: %d %s, want %s", c.body, status, text, want)
		}
		for i, want := range c.want {
			if got := string(shelf.events[i].AppendJSON(nil, true)); want != "" && got != want {
				t.Errorf("accepted\n%s\nwant\n%s", got, want)
			}
		}
		if end, err := s.store.End(t.Context()); end != 0 || err != nil {
			t.Errorf("the store holds %d events, %v", end, err)
		}
	}
}

// What a store would refuse is refused in the same words, before anything is accepted.
func TestAcceptRefusesAsAStoreDoes(t *testing.T) {
	storing := start(t, Options{})
	for _, body := range []string{
		`{`, `[]`, `7`, ``, `{"a":1}`, `{"requestId":"r","timestmp":"x"}`, `{"specversion":"1.0","type":"T","stream":"a"}`, `[{"id":"1","id":"2"}]`,
		`{"aggregateId":"a b","eventType":"T"}`, `{"aggregateId":"a","eventType":"no type"}`, `{"aggregateId":"a/../b","eventType":"T"}`,
		`{"specversion":"1.0","id":"` + strings.Repeat("x", 300) + `","source":"/s","type":"T","stream":"a"}`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","causation":"b"}`, commandBody[:20],
	} {
		s, shelf := accepting(t)
		status, _, text := s.do(t, "POST", "/v1/ingest", body, isJSON)
		want, _, wanted := storing.do(t, "POST", "/v1/ingest", body, isJSON)
		if status != want || text != wanted || len(shelf.events) > 0 {
			t.Errorf("%s: %d %s\nwant %d %s", body, status, text, want, wanted)
		}
	}
}

func TestAcceptTakesAllOrNothing(t *testing.T) {
	s, shelf := accepting(t)
	long := `{"aggregateId":"a","eventType":"T","id":"long","eventData":"` + strings.Repeat("x", 200) + `"}`
	for bad, code := range map[string]int{`{"a":1}`: 400, long: 413} {
		status, _, text := s.do(t, "POST", "/v1/ingest", "["+trackingMessage+","+bad+","+commandBody+"]", isJSON)
		var p Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		statuses := make([]ingest.Status, len(p.Results))
		for i := range p.Results {
			statuses[i] = p.Results[i].Status
		}
		if status != code || fmt.Sprint(statuses) != "[not_accepted refused not_accepted]" || p.Results[1].Error == nil || !strings.Contains(p.Detail, "no message was accepted, because of message 2") {
			t.Errorf("%d %s", status, text)
		}
	}
	if len(shelf.events) > 0 {
		t.Errorf("%d were accepted", len(shelf.events))
	}
}

// Junk of many lines is told as such: what is wrong with each of them would not fit in
// the answer of a function.
func TestAcceptTellsOfSoManyRefusals(t *testing.T) {
	s, shelf := accepting(t)
	status, _, text := s.do(t, "POST", "/v1/ingest", trackingMessage+strings.Repeat("\n{}", MaxIngestMessages-1), isJSON)
	var p Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	if status != 400 || len(p.Results) != 1+maxRefusedMessages || len(text) > 1<<20 || len(shelf.events) > 0 ||
		!strings.Contains(p.Detail, "no message was accepted, because of message 2") || !strings.Contains(p.Detail, "100 are refused, and those behind message 101 were not looked at") {
		t.Errorf("%d, %d results in %d bytes: %s", status, len(p.Results), len(text), p.Detail)
	}
}

// A partial acceptance says which, and with which ids to go on.
func TestPartlyAccepted(t *testing.T) {
	s, shelf := accepting(t)
	for _, c := range []struct {
		statuses []ingest.Status
		status   int
		text     string
	}{
		{[]ingest.Status{Accepted, NotAccepted}, 503, "1 of 2 messages were accepted: the shelf broke"},
		{[]ingest.Status{Unknown, NotAccepted}, 504, "0 of 2 messages were accepted, and 1 more may have been: the shelf broke"},
	} {
		shelf.statuses = c.statuses
		status, _, text := s.do(t, "POST", "/v1/ingest", "["+trackingMessage+","+commandBody+"]", isJSON)
		want := fmt.Sprintf(`"results":[{"number":1,"status":%q,"id":"7"},{"number":2,"status":%q,"id":"new-`, c.statuses[0], c.statuses[1])
		if status != c.status || !strings.Contains(text, c.text) || !strings.Contains(text, want) || !strings.Contains(text, `"retryable":true`) {
			t.Errorf("%d %s\nwant %d %s", status, text, c.status, want)
		}
	}
}
