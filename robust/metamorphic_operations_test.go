package robust

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// An operation is done on each world.
type operation struct {
	name   string
	detail any
	do     func(t *testing.T, w *world) answer
	writes bool
	lists  bool // streams, which not every store can
	waits  bool // so that positions are known
	append []annals.Append
}

func (o operation) String() string {
	const enough = 2000
	text := fmt.Sprintf("%s %+v", o.name, o.detail)
	if len(text) > enough {
		text = text[:enough] + "…"
	}
	return text
}

// A generator draws operations. It follows what the first world answers, so that
// many of them succeed.
type generator struct {
	random   *rand.Rand
	versions map[string]int64
	commits  []annals.Commit
	appends  []annals.Append // that were stored, as they were given
	end      int64
	drawn    int  // ids
	subjects bool // events may name some
}

func newGenerator(seed uint64) *generator {
	return &generator{random: newRandom(seed), versions: map[string]int64{}}
}

var streamNames = []string{"a", "order-7", "order-7/lines", "B@1", "z:~$=+._-"}

func (g *generator) n(n int) int { return g.random.IntN(n) }

func pick[T any](g *generator, of ...T) T { return of[g.n(len(of))] }

func (g *generator) next() operation {
	switch n := g.n(100); {
	case n < 32:
		return g.appending(g.newAppend())
	case n < 42:
		return g.again()
	case n < 50:
		return g.batch()
	case n < 57:
		return g.refused()
	case n < 71:
		return g.stream()
	case n < 85:
		return g.log()
	case n < 90:
		return g.follow()
	case n < 94:
		return g.streams()
	case n < 98:
		return g.wait()
	case n < 99 && g.subjects:
		return g.erasure()
	}
	return operation{name: "end", do: func(t *testing.T, w *world) (a answer) {
		end, err := w.store.End(t.Context())
		a.printf("%d ", end)
		a.error(err)
		return a
	}}
}

// learn takes in what the first world answered.
func (g *generator) learn(op operation, a answer) {
	if !op.writes {
		return
	}
	for i, c := range a.commits {
		g.commits = append(g.commits, c)
		g.end = max(g.end, c.Position)
		if !c.Replayed {
			g.versions[c.Stream] = c.Version
			g.appends = append(g.appends, op.append[i])
		}
	}
}

func (g *generator) newAppend() annals.Append {
	stream := pick(g, streamNames...)
	version := g.versions[stream]
	a := annals.Append{Stream: stream, Expected: pick(g, annals.Any, annals.Any, version, version, version, version, version+1, version-1, 0, 99)}
	a.Expected = max(a.Expected, annals.Any)
	count := pick(g, 1, 1, 1, 2, 3, 7)
	if g.n(40) == 0 {
		count = 60
	}
	for range count {
		e := g.event()
		if g.subjects && g.n(3) == 0 {
			e.Attributes = maps.Clone(e.Attributes)
			if e.Attributes == nil {
				e.Attributes = map[string]string{}
			}
			e.Attributes[annals.SubjectAttribute] = g.person()
		}
		a.Events = append(a.Events, e)
	}
	return a
}

func (g *generator) person() string { return fmt.Sprint("person-", g.n(6)) }

// erasure fences a subject in the keys that all worlds have.
func (g *generator) erasure() operation {
	person := g.person()
	return operation{name: "erasure", detail: person, do: func(t *testing.T, w *world) (a answer) {
		_, err := w.keys.Fence(t.Context(), person)
		a.error(err)
		return a
	}}
}

func (g *generator) appending(a annals.Append) operation {
	return operation{
		name: "append", detail: a, writes: true, append: []annals.Append{a},
		do: func(t *testing.T, w *world) (ans answer) {
			c, err := w.store.Append(t.Context(), a.Stream, a.Expected, a.Events...)
			if err == nil {
				ans.commit(c)
			}
			ans.error(err)
			return ans
		},
	}
}

// again repeats an append, whole, in part, with other events, elsewhere, or with
// something changed.
func (g *generator) again() operation {
	if len(g.appends) == 0 {
		return g.appending(g.newAppend())
	}
	a := g.appends[g.n(len(g.appends))]
	a.Events = append([]annals.Event(nil), a.Events...)
	e := &a.Events[g.n(len(a.Events))]
	switch g.n(9) {
	case 0:
		a.Expected = pick(g, annals.Any, g.versions[a.Stream], a.Expected+1)
	case 1:
		a.Events = a.Events[:1+g.n(len(a.Events))]
	case 2:
		a.Events = append(a.Events, g.event())
	case 3:
		a.Stream = pick(g, streamNames...)
	case 4:
		e.Data, e.ContentType = []byte(`"other"`), ""
	case 5:
		e.Time = time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	case 6:
		a.Events[0], a.Events[len(a.Events)-1] = a.Events[len(a.Events)-1], a.Events[0]
	}
	op := g.appending(a)
	op.name = "repeated append"
	return op
}

// batch is some appends to one stream, of which any may fail, or to several, none
// of which does: what stands behind one that failed may be stored or not where the
// log is numbered later. There each names the one before as its cause, as the log
// has causes before effects.
func (g *generator) batch() operation {
	var all []annals.Append
	if g.n(2) == 0 {
		stream := pick(g, streamNames...)
		version := g.versions[stream]
		for range 1 + g.n(5) {
			a := g.newAppend()
			a.Stream, a.Expected = stream, pick(g, annals.Any, version, version, version, version)
			version += int64(len(a.Events))
			all = append(all, a)
		}
	} else {
		versions, cause := map[string]int64{}, ""
		for range 2 + g.n(5) {
			a := g.newAppend()
			if versions[a.Stream] == 0 {
				versions[a.Stream] = g.versions[a.Stream]
			}
			a.Expected = pick(g, annals.Any, versions[a.Stream])
			versions[a.Stream] += int64(len(a.Events))
			a.Events[0].Causation = cause
			cause = fmt.Sprintf("%s@%d", a.Stream, versions[a.Stream])
			all = append(all, a)
		}
	}
	return operation{
		name: "batch", detail: all, writes: true, append: all,
		do: func(t *testing.T, w *world) (ans answer) {
			commits, err := w.store.AppendAll(t.Context(), all)
			for _, c := range commits {
				ans.commit(c)
			}
			ans.error(err)
			return ans
		},
	}
}

// refused is an append that no store takes.
func (g *generator) refused() operation {
	a := g.newAppend()
	e := &a.Events[g.n(len(a.Events))]
	switch g.n(16) {
	case 0:
		a.Stream = pick(g, "", "a//b", "..", "ü", "a b", strings.Repeat("s", 257))
	case 1:
		a.Expected = -2 - int64(g.n(3))
	case 2:
		a.Events = nil
	case 3:
		e.Type = pick(g, "", "two words", strings.Repeat("t", 257))
	case 4:
		e.ID = pick(g, "\x00", " x", strings.Repeat("i", 257), "\xff")
	case 5:
		e.Data, e.ContentType = []byte(pick(g, `{`, `{"a":}`, "\xff", `1 2`, "{\"a\":\"\x01\"}")), annals.JSONContentType
	case 6:
		e.Causation = pick(g, "a", "a@0", "@1", "a@01")
	case 7:
		e.Attributes = map[string]string{pick(g, "Upper", "", "id", strings.Repeat("n", 33)): "x"}
	case 8:
		e.Attributes = map[string]string{"a": strings.Repeat("v", 1025)}
	case 9:
		a.Events = append(a.Events, *e)
		a.Events[len(a.Events)-1].ID, e.ID = "twice", "twice"
	case 10:
		e.Time = pick(g, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC))
	case 11:
		e.Source = pick(g, "a,b", "\n", strings.Repeat("s", 513))
	case 12:
		e.ContentType = pick(g, "text", "a b/c", "\x7f", annals.ErasedContentType)
	case 13:
		e.Attributes = map[string]string{annals.SubjectAttribute: "account-7"}
	case 14:
		e.Data, e.ContentType = make([]byte, annals.MaxDataBytes+1), "application/octet-stream"
	default:
		e.Correlation = pick(g, "\t", strings.Repeat("c", 257))
	}
	op := g.appending(a)
	op.name = "refused append"
	return op
}

func (g *generator) stream() operation {
	stream := pick(g, append([]string{"none"}, streamNames...)...)
	version := max(g.versions[stream], 1)
	bound := func() int64 {
		return pick(g, 0, 0, 1+g.random.Int64N(version), version, version+1, g.random.Int64N(version))
	}
	o := annals.StreamOptions{From: bound(), To: bound(), Backward: g.n(2) == 0, Limit: pick(g, 0, 0, 1, 3, 100)}
	if g.n(25) == 0 {
		stream, o.From, o.Limit = pick(g, "a", "", "a//b"), pick(g, int64(-1), 1), pick(g, -1, 0)
	}
	stop := pick(g, 0, 0, 0, 2)
	return operation{name: "stream", detail: []any{stream, o}, do: func(t *testing.T, w *world) (a answer) {
		a.events(w.store.Stream(t.Context(), stream, &o), stop, false)
		return a
	}}
}

func (g *generator) query() annals.Query {
	q := annals.Query{Backward: g.n(2) == 0, Limit: pick(g, 0, 0, 0, 1, 5, 50)}
	if g.n(3) == 0 {
		q.Types = pick(g, []string{"t1"}, []string{"t2", "order-placed"}, []string{"none"})
	}
	if g.n(4) == 0 {
		q.Sources = pick(g, []string{"metamorphic"}, []string{"urn:ü", "b"}, []string{"none"})
	}
	if g.n(4) == 0 {
		q.Correlation = pick(g, "r1", "r 2", "none")
	}
	if g.n(4) == 0 {
		q.Prefix = pick(g, "a", "order-7", "order-7/", "z", "none")
	}
	if g.n(4) == 0 {
		q.Since = time.Date(2026, 3, 1, 0, 0, g.n(operations), pick(g, 0, 123456789), time.UTC)
	}
	if g.n(4) == 0 {
		q.Before = time.Date(2026, 3, 1, 0, 0, g.n(operations), pick(g, 0, 123456789), time.UTC)
	}
	if g.n(3) == 0 {
		q.After = g.random.Int64N(g.end + 2)
	}
	if g.n(3) == 0 {
		q.Until = g.random.Int64N(g.end + 3)
	}
	switch g.n(40) {
	case 0:
		q.After = -1
	case 1:
		q.Types = []string{"two words"}
	case 2:
		q.Limit = -1
	}
	return q
}

func (g *generator) log() operation {
	q, stop := g.query(), pick(g, 0, 0, 0, 2)
	return operation{name: "log", detail: q, do: func(t *testing.T, w *world) (a answer) {
		a.events(w.store.Log(t.Context(), q), stop, true)
		return a
	}}
}

// follow ends at a position that the log has.
func (g *generator) follow() operation {
	q := g.query()
	if q.Backward = g.n(8) == 0; g.end == 0 {
		q.Backward = true // refused, as it would wait
	}
	q.Until = 1 + g.random.Int64N(max(g.end, 1))
	return operation{name: "follow", detail: q, do: func(t *testing.T, w *world) (a answer) {
		a.events(w.store.Follow(t.Context(), q), 0, true)
		return a
	}}
}

func (g *generator) streams() operation {
	q := annals.StreamsQuery{Prefix: pick(g, "", "", "order", "z", "none"), After: pick(g, "", "", "a", "order-7", "zz"), Limit: pick(g, 0, 0, 1, 2, -1)}
	return operation{name: "streams", detail: q, lists: true, do: func(t *testing.T, w *world) (a answer) {
		for info, err := range w.store.Streams(t.Context(), q) {
			if err != nil {
				a.error(err)
				return a
			}
			a.printf("%+v\n", info)
		}
		a.text += "end\n"
		return a
	}}
}

func (g *generator) wait() operation {
	if len(g.commits) == 0 {
		return g.appending(g.newAppend())
	}
	c := g.commits[g.n(len(g.commits))]
	return operation{name: "wait", detail: c, waits: true, do: func(t *testing.T, w *world) (a answer) {
		asked := c
		if w.late {
			asked.Position = 0
		}
		got, err := w.store.Wait(t.Context(), asked)
		a.commit(got)
		a.error(err)
		return a
	}}
}

func (g *generator) event() annals.Event {
	e := annals.Event{Type: pick(g, "t1", "t2", "order-placed"), Data: g.json()}
	if g.n(3) > 0 {
		g.drawn++
		e.ID = fmt.Sprintf(pick(g, "e%d", "ä/%d?#", "e %d"), g.drawn)
	}
	if g.n(3) == 0 {
		e.Source = pick(g, "urn:ü", "b", `"quoted"`)
	}
	if g.n(3) == 0 {
		e.Correlation = pick(g, "r1", "r 2", "日本")
	}
	if g.n(5) == 0 {
		// Of what is there: causes in a circle have no order that all must give.
		if e.Causation = "elsewhere@99"; len(g.commits) > 0 {
			c := g.commits[g.n(len(g.commits))]
			e.Causation = fmt.Sprintf("%s@%d", c.Stream, c.Version)
		}
	}
	if g.n(3) == 0 {
		e.Attributes = map[string]string{"subject": pick(g, "", "x", "日本 <&>"), pick(g, "zone", "n1"): pick(g, "1", " ", "true")}
	}
	if g.n(4) == 0 {
		e.Time = pick(g,
			time.Date(2026, 3, 1, 0, 0, g.n(operations), 1, time.FixedZone("", -7200)), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
			time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 5e8, time.UTC))
	}
	switch g.n(8) {
	case 0:
		e.ContentType, e.Data = "application/octet-stream", g.bytes(pick(g, 0, 1, 7, 2000))
	case 1:
		e.ContentType, e.Data = "text/plain; charset=utf-8", []byte(pick(g, "", "plain", "ü\r\n\x00", "{\"a\":1}\n", `,"datacontenttype":"application/json"`))
	case 2:
		e.ContentType, e.Data = pick(g, "application/vnd.x+json", "application/json; charset=utf-8", "APPLICATION/JSON"), []byte(`{"a":[1,2,{"b":null}]}`)
	case 3:
		e.ContentType = annals.JSONContentType
	}
	if g.n(30) == 0 {
		e.ContentType, e.Data = "application/octet-stream", g.bytes(30_000)
	}
	return e
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.random.Uint32())
	}
	return b
}

// json is data whose bytes must stay as they are.
func (g *generator) json() []byte {
	return []byte(pick(g, `{}`, `{"n":12345678901234567890,"f":1.0e+2,"z":-0}`, " {\n\t\"a\" : 1 }\n", `"<script>&\u2028\/é"`, "\"\u2028é\"", `null`, `[]`, ``,
		`{"a":1,"a":2}`, `{"datacontenttype":"application/json","specversion":"1.0"}`, `{"text":"`+strings.Repeat("long ", g.n(700))+`"}`))
}
