package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

const seedMessage = `{"id":"7a3c","requestId":"req-1","timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"Microservice A"}}`

func testStore(t *testing.T) *annals.Store {
	t.Helper()
	s, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestShapes(t *testing.T) {
	for name, c := range map[string]struct{ text, stream, event string }{
		"tracking message": {seedMessage, "req-1",
			`{"specversion":"1.0","id":"7a3c","type":"MICROSERVICE_REQUEST","source":"Gateway","time":"2020-05-01T20:00:00Z","correlation":"req-1","datacontenttype":"application/json","data":{"Name":"Microservice A"}}`},
		"nulls of data are dropped, other values keep their types": {`{"id":"1","requestId":"r","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s","data":{"a":null,"n":0,"f":false,"e":"","in":{"x":null},"l":[null]}}`, "r",
			`{"specversion":"1.0","id":"1","type":"T","source":"s","time":"2020-05-01T20:00:00Z","correlation":"r","datacontenttype":"application/json","data":{"n":0,"f":false,"e":"","in":{"x":null},"l":[null]}}`},
		"data that is null": {`{"id":"1","requestId":"r","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s","data":null}`, "r",
			`{"specversion":"1.0","id":"1","type":"T","source":"s","time":"2020-05-01T20:00:00Z","correlation":"r","datacontenttype":"application/json"}`},
		"command body": {`{"aggregateId":"account-1","eventType":"deposited","eventData":{"amount":10}}`, "account-1",
			`{"specversion":"1.0","type":"deposited","datacontenttype":"application/json","data":{"amount":10}}`},
		"CloudEvent by stream": {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","subject":"b","version":"7","position":"9","data":"text"}`, "a",
			`{"specversion":"1.0","id":"1","type":"T","source":"/s","stream":"a","version":"7","position":"9","subject":"b","datacontenttype":"application/json","data":"text"}`},
		"CloudEvent by subject": {`{"specversion":"1.0","id":"1","source":"/s","type":"T","subject":"b","datacontenttype":"text/plain","data":"text"}`, "b",
			`{"specversion":"1.0","id":"1","type":"T","source":"/s","subject":"b","datacontenttype":"text/plain","data_base64":"dGV4dA=="}`},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Decode([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(m.Event.AppendJSON(nil, true)); m.Stream != c.stream || got != c.event {
				t.Fatalf("stream %q, event\n%s\nwant %q,\n%s", m.Stream, got, c.stream, c.event)
			}
		})
	}
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`[]`: "must be a JSON object", `{"a":1}`: "no known shape", `{`: "expected a key", `{"id":"1","id":"2"}`: "twice",
		`{"specversion":"1.0","id":"1","source":"/s","type":"T"}`:                                       "stream must be given",
		`{"specversion":"1.0","type":"T","stream":"a"}`:                                                 "id must be given; source must be given",
		`{"specversion":"0.3","id":"1","source":"/s","type":"T","stream":"a"}`:                          "specversion",
		`{"requestId":"r","timestmp":"2020-05-01T20:00:00Z"}`:                                           `"timestmp" is not known here`,
		`{"requestId":"r","id":"1","timestamp":"yesterday","type":"T","source":"s"}`:                    "timestamp must be an RFC 3339 time",
		`{"requestId":7,"id":"1","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s","data":[]}`: "requestId must be a string; data must be an object",
		`{"aggregateId":"a","eventtype":"T"}`:                                                           `"eventtype" is not known here`,
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", text, err, want)
		}
	}
	if _, err := DecodeEvent([]byte(`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a"}`), "b"); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("another stream: %v", err)
	}
	if _, err := DecodeEvent([]byte(`{"type":"T","version":3}`), "b"); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("unknown member: %v", err)
	}
}

func TestItems(t *testing.T) {
	deepest := `{"a":` + strings.Repeat("[", annals.MaxJSONDepth) + strings.Repeat("]", annals.MaxJSONDepth) + `}`
	for name, c := range map[string]struct {
		input string
		want  []string
	}{
		"nothing":                              {" \n", nil},
		"one line":                             {`{"a":1}`, []string{`1 {"a":1}`}},
		"lines":                                {"{\"a\":1}\r\n\n{\"b\":2}\n", []string{`1 {"a":1}`, `3 {"b":2}`}},
		"array":                                {"[{\"a\":1},\n 2 ]", []string{`1 {"a":1}`, `2 2`}},
		"pretty object":                        {"{\n  \"a\": 1\n}\n", []string{"1 {\n  \"a\": 1\n}\n"}},
		"broken first line":                    {"{\"a\":\n{\"b\":2}\n", []string{`1 {"a":`, `2 {"b":2}`}},
		"broken first line, the second blank":  {"{\"a\":\n\n{\"b\":2}\n", []string{`1 {"a":`, `3 {"b":2}`}},
		"broken first line, the second broken": {"{\"a\":\nx\n{\"b\":2}\n", []string{`1 {"a":`, `2 x`, `3 {"b":2}`}},
		"pretty after a blank line":            {"{\n\n  \"a\": 1\n}", []string{"1 {\n\n  \"a\": 1\n}"}},
		"one line after blanks":                {"\n \n{\"a\":1}", []string{`1 {"a":1}`}},
		"a broken line alone":                  {"{\n\n", []string{"1 {"}},
		"byte order mark":                      {"\ufeff{\"a\":1}\n{\"b\":2}", []string{`1 {"a":1}`, `2 {"b":2}`}},
		"byte order mark before an array":      {"\ufeff[1]", []string{`1 1`}},
		"half a byte order mark":               {"\xef\xbb", []string{"1 \xef\xbb"}},
		"a line longer than the buffer": {"{\"a\":\"" + strings.Repeat("x", 300<<10) + "\"}\n{\"b\":2}",
			[]string{`1 {"a":"` + strings.Repeat("x", 300<<10) + `"}`, `2 {"b":2}`}},
		"the deepest data in an array":        {"[" + deepest + "]", []string{"1 " + deepest}},
		"the deepest data over several lines": {"{\n" + deepest[1:], []string{"1 {\n" + deepest[1:]}},
		"broken array":                        {`[{"a":1},`, []string{"error"}},
		"broken pretty":                       {"{\n  \"a\": 1\n", []string{"error"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for item, err := range Items(strings.NewReader(c.input)) {
				if err != nil {
					got = append(got, "error")
					break
				}
				got = append(got, fmt.Sprintf("%d %s", item.Number, item.Text))
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Whoever writes to a pipe may wait for what it wrote to be stored.
func TestItemsOfAPipeComeLineByLine(t *testing.T) {
	for name, lines := range map[string][]string{
		"messages": {`{"a":1}`, `{"b":2}`, `{"c":3}`},
		"no JSON":  {`x`, `{"b":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := io.Pipe()
			next, stop := iter.Pull2(Items(r))
			defer stop()
			for i, line := range lines {
				go func() {
					if _, err := io.WriteString(w, line+"\n"); err != nil {
						t.Error(err)
					}
				}()
				if item, err, ok := next(); !ok || err != nil || string(item.Text) != line {
					t.Fatalf("line %d: %q, %v, %v", i, item.Text, err, ok)
				}
			}
		})
	}
}

func TestLineOverTheLimitIsRefusedAlone(t *testing.T) {
	input := `{"a":1}` + "\n" + strings.Repeat("x", MaxMessageBytes+1) + "\n" + `{"b":2}`
	var got []string
	for item, err := range Items(strings.NewReader(input)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(item.Number, " ", errors.Is(item.Err, annals.ErrTooLarge)))
	}
	if !slices.Equal(got, []string{"1 false", "2 true", "3 false"}) {
		t.Fatalf("got %q", got)
	}
}

func TestRunTwiceStoresOnceAndKeepsTheOrderOfAStream(t *testing.T) {
	s := testStore(t)
	var input strings.Builder
	const streams, each = 20, 30
	for i := range each {
		for k := range streams {
			fmt.Fprintf(&input, `{"id":"%d","requestId":"r%d","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s"}`+"\n", i, k)
		}
	}
	input.WriteString("{\"requestId\":\n")
	results := map[Status]int{}
	r := Runner{Store: s, Each: func(r Result) { results[r.Status]++ }}
	for pass, want := range []Summary{{Stored: streams * each, Refused: 1}, {Replayed: streams * each, Refused: 1}} {
		got, err := r.Run(t.Context(), Items(strings.NewReader(input.String())))
		if err != nil || got != want {
			t.Fatalf("pass %d: %+v, %v; want %+v", pass, got, err, want)
		}
	}
	for k := range streams {
		n := 0
		for e, err := range s.Stream(t.Context(), fmt.Sprint("r", k), nil) {
			if err != nil || e.ID != fmt.Sprint(n) {
				t.Fatalf("stream %d: event %s where %d belongs, %v", k, e.ID, n, err)
			}
			n++
		}
		if n != each {
			t.Fatalf("stream %d has %d events", k, n)
		}
	}
	if results[Stored] != streams*each || results[Refused] != 2 {
		t.Fatalf("results %v", results)
	}
}

func TestRunStopsWhereTheStoreDoes(t *testing.T) {
	s := testStore(t)
	items := func(yield func(Item, error) bool) {
		for i := 1; ; i++ {
			if i == 100 {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if !yield(Item{Number: i, Text: fmt.Appendf(nil, `{"aggregateId":"a%d","eventType":"T","eventData":1}`, i)}, nil) {
				return
			}
		}
	}
	if _, err := (&Runner{Store: s}).Run(t.Context(), items); !errors.Is(err, annals.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Runner{Store: s}).Run(ctx, items); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// Whatever Decode accepts has a stream, and its event survives the way out and
// in again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(seedMessage))
	f.Add([]byte(`{"aggregateId":"a","eventType":"T","eventData":{"n":1}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","x":true,"data_base64":"AA=="}`))
	f.Add([]byte("[{\"a\":1}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for item, err := range Items(strings.NewReader(string(text))) {
			if err != nil {
				break
			}
			m, err := Decode(item.Text)
			if err != nil {
				if !annals.IsRefusal(err) {
					t.Fatalf("%q: %v is not the message's own fault", item.Text, err)
				}
				continue
			}
			if m.Event.IsJSON() && len(m.Event.Data) > 0 && annals.CheckJSON(m.Event.Data) != nil {
				continue // base64 of what is no JSON: Append refuses it
			}
			out := m.Event.AppendJSON(nil, true)
			back, err := annals.ParseEvent(out)
			if err != nil {
				t.Fatalf("%q became %q, which is refused: %v", item.Text, out, err)
			}
			if again := back.AppendJSON(nil, true); string(again) != string(out) {
				t.Fatalf("%q became %q and then %q", item.Text, out, again)
			}
		}
	})
}
