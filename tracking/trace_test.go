package tracking

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/ingest"
)

var start = time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC)

// event is one at start plus ms; its position is the order of the call.
func request(ms int, data string) annals.Event  { return at(ms, RequestType, data) }
func response(ms int, data string) annals.Event { return at(ms, ResponseType, data) }
func at(ms int, typ, data string) annals.Event {
	return annals.Event{ID: fmt.Sprint(ms, typ, data), Type: typ, Source: "Gateway", Time: start.Add(time.Duration(ms) * time.Millisecond), Data: []byte(data)}
}

// summary is one line a call: service, status, duration, error.
func summary(tr *Trace) (lines []string) {
	for _, c := range tr.Calls {
		lines = append(lines, fmt.Sprintf("%s %d %v %q open=%v", c.Service, c.Status, c.Duration, c.Error, c.Open()))
	}
	return append(lines, "faulty "+tr.Faulty)
}

func TestTraces(t *testing.T) {
	for name, c := range map[string]struct {
		events []annals.Event
		want   []string
	}{
		"a healthy call": {[]annals.Event{request(0, `{"Name":"A"}`), response(40, `{"Name":"A","status":200,"durationMs":38.5}`)},
			[]string{`A 200 38.5ms "" open=false`, "faulty "}},
		"out of order": {[]annals.Event{response(40, `{"Name":"A","status":200}`), request(0, `{"Name":"A"}`)},
			[]string{`A 200 40ms "" open=false`, "faulty "}},
		"by callId, though the names cross": {[]annals.Event{
			request(0, `{"Name":"A","callId":"1"}`), request(1, `{"Name":"A","callId":"2"}`),
			response(5, `{"Name":"A","callId":"2","status":500}`), response(9, `{"Name":"A","callId":"1","status":200}`)},
			[]string{`A 200 9ms "" open=false`, `A 500 4ms "" open=false`, "faulty A"}},
		"by name and order": {[]annals.Event{
			request(0, `{"Name":"A"}`), request(1, `{"Name":"B"}`), request(2, `{"Name":"A"}`),
			response(3, `{"Name":"B","status":201}`), response(4, `{"Name":"A","status":202}`), response(9, `{"Name":"A","status":203}`)},
			[]string{`A 202 4ms "" open=false`, `B 201 2ms "" open=false`, `A 203 7ms "" open=false`, "faulty "}},
		"the first failure is at fault, not the first call": {[]annals.Event{
			request(0, `{"service":"A"}`), request(1, `{"service":"B"}`),
			response(5, `{"service":"B","error":"timeout"}`), response(9, `{"service":"A","status":502}`)},
			[]string{`A 502 9ms "" open=false`, `B 0 4ms "timeout" open=false`, "faulty B"}},
		"by callId, the response stamped before its request": {[]annals.Event{request(1, `{"Name":"A","callId":"1"}`), response(0, `{"Name":"A","callId":"1","status":200}`)},
			[]string{`A 200 0s "" open=false`, "faulty "}},
		"a callId that is null or empty is none": {[]annals.Event{
			request(0, `{"Name":"A","callId":null}`), request(1, `{"Name":"B","callId":""}`),
			response(5, `{"Name":"B","callId":null,"status":201}`), response(9, `{"Name":"A","status":202}`)},
			[]string{`A 202 9ms "" open=false`, `B 201 4ms "" open=false`, "faulty "}},
		"a duration that can't be": {[]annals.Event{
			request(0, `{"Name":"A"}`), response(5, `{"Name":"A","durationMs":1e300}`),
			request(6, `{"Name":"B"}`), response(8, `{"Name":"B","durationMs":-1e300}`)},
			[]string{`A 0 5ms "" open=false`, `B 0 2ms "" open=false`, "faulty "}},
		"4xx is the caller's fault": {[]annals.Event{request(0, `{"Name":"A"}`), response(5, `{"Name":"A","status":404,"error":null}`)},
			[]string{`A 404 5ms "" open=false`, "faulty "}},
		"a call that waits":        {[]annals.Event{request(31_000, `{"Name":"A"}`)}, []string{`A 0 0s "" open=true`, "faulty "}},
		"a call that was given up": {[]annals.Event{request(0, `{"Name":"A"}`)}, []string{`A 0 30s "no response" open=false`, "faulty A"}},
		"given up later than another failed": {[]annals.Event{request(0, `{"Name":"A"}`), request(1, `{"Name":"B"}`), response(2, `{"Name":"B","status":503}`)},
			[]string{`A 0 30s "no response" open=false`, `B 503 1ms "" open=false`, "faulty B"}},
		"a response without a request": {[]annals.Event{response(40, `{"Name":"A","status":500,"durationMs":10}`)}, []string{`A 500 10ms "" open=false`, "faulty A"}},
		"data of other kinds": {[]annals.Event{request(0, `[1]`), response(1, `{"status":"500","error":false}`), {Type: RequestType, Source: "S", Time: start, ContentType: "text/plain", Data: []byte("x")}},
			[]string{`Gateway 500 1ms "" open=false`, `S 0 30s "no response" open=false`, "faulty Gateway"}},
		"other events only": {[]annals.Event{at(0, "ORDER_PLACED", `{}`)}, []string{"faulty "}},
	} {
		t.Run(name, func(t *testing.T) {
			got := summary(New("r", c.events, start.Add(60*time.Second)))
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Fatalf("got\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}

// The first seed's message, twice, beside another with the same time.
func TestSeedMessages(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	message := func(id, name string) string {
		return `{"id":"` + id + `","requestId":"req-1","timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"` + name + `"}}`
	}
	for _, text := range []string{message("1", "Microservice A"), message("2", "Microservice B"), message("1", "Microservice A")} {
		m, err := ingest.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(t.Context(), m.Stream, annals.Any, m.Event); err != nil {
			t.Fatal(err)
		}
	}
	trace, err := Read(t.Context(), store, "req-1", start.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(trace.Events) != 2 || len(trace.Calls) != 2 || trace.Calls[0].Service != "Microservice A" || trace.Calls[1].Service != "Microservice B" || trace.Faulty != "" {
		t.Fatalf("got %q", summary(trace))
	}
	text, err := json.Marshal(trace)
	if err != nil || string(text) != `{"requestId":"req-1","events":[`+
		`{"specversion":"1.0","id":"1","type":"MICROSERVICE_REQUEST","source":"Gateway","time":"2020-05-01T20:00:00Z","stream":"req-1","version":"1","position":"1","correlation":"req-1","datacontenttype":"application/json","data":{"Name":"Microservice A"}},`+
		`{"specversion":"1.0","id":"2","type":"MICROSERVICE_REQUEST","source":"Gateway","time":"2020-05-01T20:00:00Z","stream":"req-1","version":"2","position":"2","correlation":"req-1","datacontenttype":"application/json","data":{"Name":"Microservice B"}}],`+
		`"calls":[{"service":"Microservice A","status":null,"durationMs":null,"error":null},{"service":"Microservice B","status":null,"durationMs":null,"error":null}],"faulty":null}` {
		t.Fatalf("got %s, %v", text, err)
	}
	if _, err := Read(t.Context(), store, "none", start); !errors.Is(err, annals.ErrNotFound) {
		t.Fatalf("an unknown request: %v", err)
	}
}
