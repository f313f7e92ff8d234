package tracking

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// tree is the calls of a trace as Walk has them, indented by their depths, the one
// at fault with a mark, then the service at fault.
func tree(tr *Trace) string {
	var b strings.Builder
	for c := range tr.Walk() {
		mark := ""
		if c == tr.FaultyCall() {
			mark = "!"
		}
		fmt.Fprintf(&b, "%s%s%s\n", strings.Repeat(".", c.Depth), c.Service, mark)
	}
	return b.String() + "faulty " + tr.Faulty
}

// call is the two events of one: from and to in ms, parent empty for none.
func call(from, to int, id, parent, more string) []annals.Event {
	data := fmt.Sprintf(`{"Name":%q,"callId":%q,"parentId":%q%s}`, strings.ToUpper(id), id, parent, more)
	return []annals.Event{request(from, data), response(to, data)}
}

const bad, gone = `,"status":502`, `,"error":"context canceled","errorKind":"canceled"`

func TestTraceTrees(t *testing.T) {
	caused := func(version int64, e annals.Event, cause string) annals.Event {
		e.Stream, e.Version, e.Causation = "s", version, cause
		return e
	}
	for name, c := range map[string]struct {
		events []annals.Event
		want   string
	}{
		"children stand below their parents, in order of their beginning": {slices.Concat(
			call(0, 90, "a", "", ""), call(10, 80, "b", "a", ""), call(20, 30, "c", "b", ""), call(5, 6, "d", "a", ""), call(1, 100, "e", "", "")),
			"A\n.D\n.B\n..C\nE\nfaulty "},
		"a parent fails because its child did, although its answer is stamped first": {slices.Concat(
			call(0, 30, "a", "", bad), call(10, 29, "b", "a", bad), call(20, 40, "c", "b", bad)),
			"A\n.B\n..C!\nfaulty C"},
		"by way of a call that went well": {slices.Concat(
			call(0, 30, "a", "", bad), call(10, 29, "b", "a", ""), call(20, 40, "c", "b", bad)),
			"A\n.B\n..C!\nfaulty C"},
		"the first of two causes": {slices.Concat(
			call(0, 50, "a", "", bad), call(10, 45, "b", "a", bad), call(11, 44, "c", "a", bad)),
			"A\n.B\n.C!\nfaulty C"},
		"a parent that failed by itself": {slices.Concat(
			call(0, 50, "a", "", bad), call(10, 45, "b", "a", "")),
			"A!\n.B\nfaulty A"},
		"a child that was given up by a parent that failed": {slices.Concat(
			call(0, 50, "a", "", bad), call(10, 49, "b", "a", gone), call(11, 48, "c", "b", gone)),
			"A\n.B\n..C!\nfaulty C"},
		"a caller that went away": {slices.Concat(
			call(0, 50, "a", "", gone), call(10, 49, "b", "a", gone)),
			"A\n.B\nfaulty "},
		"a parent that is not in the trace": {call(0, 50, "a", "x", ""), "A\nfaulty "},
		"its own parent":                    {call(0, 50, "a", "a", bad), "A!\nfaulty A"},
		"a ring": {slices.Concat(
			call(0, 50, "a", "c", bad), call(1, 45, "b", "a", bad), call(2, 44, "c", "b", bad), call(3, 9, "d", "c", "")),
			"A\n.B\n..C!\n...D\nfaulty C"},
		"two calls with one id": {slices.Concat(
			call(0, 50, "a", "", ""), call(1, 60, "a", "a", ""), call(2, 44, "c", "a", "")),
			"A\n.A\n.C\nfaulty "},
		"by causation, at once and by way of other events": {[]annals.Event{
			caused(1, request(0, `{"Name":"A"}`), ""), caused(2, at(1, "ORDERED", `{}`), "s@1"), caused(3, request(2, `{"Name":"B"}`), "s@2"),
			caused(4, request(3, `{"Name":"C"}`), "s@3"), caused(5, response(4, `{"Name":"C","status":500}`), "s@4"), caused(6, request(5, `{"Name":"D"}`), "s@5"),
			caused(7, request(6, `{"Name":"E","parentId":"x"}`), "s@1"), caused(8, at(7, "LOOP", `{}`), "s@8"), caused(9, request(8, `{"Name":"F"}`), "s@8")},
			"A\n.B\n..C!\nD\nE\nF\nfaulty C"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tree(New("r", c.events, start.Add(time.Second))); got != c.want {
				t.Fatalf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// What a trace of hostile data costs grows with its length alone.
func TestTracesOfManyCalls(t *testing.T) {
	const n = 10_000
	for name, parent := range map[string]func(i int) int{
		"a chain":                  func(i int) int { return i - 1 },
		"a chain upside down":      func(i int) int { return i + 1 },
		"a ring":                   func(i int) int { return (i + 1) % n },
		"one parent":               func(int) int { return 0 },
		"everybody their own":      func(i int) int { return i },
		"no callIds, one service":  nil,
		"a chain of canceled ones": func(i int) int { return i - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			var events []annals.Event
			for i := range n {
				data := `{"Name":"A","status":500}`
				if parent != nil {
					data = fmt.Sprintf(`{"Name":"A","callId":"%d","parentId":"%d","status":500}`, i, parent(i))
				}
				if strings.Contains(name, "canceled") {
					data = strings.Replace(data, `"status":500`, `"error":"gone","errorKind":"canceled"`, 1)
				}
				events = append(events, request(i, data), response(n+i, data))
			}
			tr := New("r", events, start.Add(time.Hour))
			walked := 0
			for range tr.Walk() {
				walked++
			}
			if len(tr.Calls) != n || walked != n {
				t.Fatalf("%d calls, %d walked", len(tr.Calls), walked)
			}
		})
	}
}

func TestTraceJSON(t *testing.T) {
	tr := New("r", slices.Concat(call(0, 9, "a", "", `,"method":"GET","path":"/x","requestBytes":3,"responseBytes":4,"error":"late","errorKind":"timeout"`), call(1, 2, "b", "a", "")), start)
	text, err := json.Marshal(tr)
	want := `"calls":[{"service":"A","status":null,"durationMs":9,"error":"late","callId":"a","method":"GET","path":"/x","errorKind":"timeout"},` +
		`{"service":"B","status":null,"durationMs":1,"error":null,"callId":"b","parentId":"a"}],"faulty":"A"}`
	if err != nil || !strings.HasSuffix(string(text), want) {
		t.Fatalf("%v\ngot  %s\nwant %s", err, text, want)
	}
	c := tr.Calls[0]
	if c.RequestBytes != 3 || c.ResponseBytes != 4 || c.Source != "Gateway" || c.Request != &tr.Events[0] || c.Response != &tr.Events[3] || tr.Calls[1].RequestBytes != -1 {
		t.Fatalf("%+v", c)
	}
	if (&Trace{}).FaultyCall() != nil {
		t.Fatal("the zero Trace has a call at fault")
	}
}
