package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/reversal"
)

// patched appends merge patches to a stream.
func (v *visited) patched(stream string, patches ...string) {
	v.t.Helper()
	for _, p := range patches {
		v.append(stream, annals.Event{Type: "changed", Data: []byte(p), Correlation: "r-1"})
	}
}

func (v *visited) last(stream string) annals.Event {
	v.t.Helper()
	for e, err := range v.store.Stream(v.t.Context(), stream, &annals.StreamOptions{Backward: true, Limit: 1}) {
		if err != nil {
			v.t.Fatal(err)
		}
		return e
	}
	v.t.Fatal("there is no stream " + stream)
	return annals.Event{}
}

func TestReversalIsPlannedConfirmedAndApplied(t *testing.T) {
	v := visit(t, nil)
	form := v.reversalForm()
	status, page := v.send("reversal", form, "confirm", "order/7", "reason", "entered twice "+odd)
	if status != http.StatusOK {
		t.Fatalf("%d\n%s", status, page)
	}
	v.holds(page, "order/7 reversed: version 4 is new", "annals.event-reversed")
	v.lacks(page, "<script>alert", "<img")
	e := v.last("order/7")
	if e.Version != 4 || string(e.Data) != `{"note":null,"total":1}` || e.Attributes[reversal.AttributeReason] != "entered twice "+odd || e.Attributes[reversal.AttributeReversal] != form.Get("id") {
		t.Fatalf("%+v %s", e, e.Data)
	}
	if a := v.noted(); a.What != "reversal.apply" || a.Target != "order/7" || a.Error != "" {
		t.Errorf("%+v", a)
	}
	// The form is sent twice: it is applied once.
	status, page = v.send("reversal", form)
	if status != http.StatusOK || v.last("order/7").Version != 4 {
		t.Fatalf("%d\n%s", status, page)
	}
	v.holds(page, "was applied before", "annals.event-reversed")
	// Also once others have appended.
	v.patched("order/7", `{"more":1}`)
	if status, _ := v.send("reversal", form); status != http.StatusOK || v.last("order/7").Version != 5 {
		t.Errorf("%d", status)
	}
	v.sees("reversal?stream=order%2F7&version=2", http.StatusBadRequest, "is reversed already, by order/7@4", "Which events")

	// The reversal is taken back by its id.
	page = v.sees("reversal?reversal="+form.Get("id"), http.StatusOK, "order/7@4", "annals reverse --reversal "+form.Get("id"))
	if status, page = v.send("reversal", v.form(page, "reversal"), "confirm", "order/7", "reason", "right after all"); status != http.StatusOK || v.last("order/7").Version != 6 {
		t.Errorf("%d\n%s", status, page)
	}
}

// reversalForm appends three events to order/7, plans the reversal of the second, and
// returns the form that applies the plan.
func (v *visited) reversalForm() url.Values {
	v.t.Helper()
	v.patched("order/7", `{"total":1}`, `{"total":2,"note":"x"}`, `{"paid":true}`)
	page := v.sees("reversal", http.StatusOK, "First say which")
	v.lacks(page, "The plan")
	page = v.sees("reversal?stream=order%2F7&version=2", http.StatusOK,
		"by the inverse of its merge patch", "annals.event-reversed", "order/7@2", `-   "note": "x"`, `-   "total": 2`, `+   "total": 1`, "Type <code>order/7</code> to confirm",
		"annals reverse order/7 2 --dry-run --store 'my store'", `href="/console/event/order/7?version=2"`)
	if e := v.last("order/7"); e.Version != 3 {
		v.t.Fatalf("planning appended %+v", e)
	}
	return v.form(page, "reversal")
}

func TestReversalThatIsNotAsPlannedIsRefused(t *testing.T) {
	v := visit(t, nil)
	form := v.reversalForm()
	again := func(field, value string) url.Values {
		f := url.Values{}
		for k, all := range form {
			f[k] = append([]string(nil), all...)
		}
		f.Set(field, value)
		return f
	}
	for _, refused := range []struct {
		form   url.Values
		status int
	}{
		{again("confirm", "order"), http.StatusBadRequest},
		{again("reason", ""), http.StatusBadRequest},
		{again("digest", "x"), http.StatusConflict},
		{again("version", "3"), http.StatusConflict},
		{again("id", "another"), http.StatusConflict},
	} {
		if refused.form.Get("confirm") == "" {
			refused.form.Set("confirm", "order/7")
		}
		if !refused.form.Has("reason") {
			refused.form.Set("reason", "x")
		}
		if status, page := v.send("reversal", refused.form); status != refused.status {
			t.Errorf("%v: %d, want %d\n%s", refused.form, status, refused.status, page)
		}
	}
	if e := v.last("order/7"); e.Version != 3 {
		t.Fatalf("a refused form appended %+v", e)
	}
}

func TestReversalOfAStreamThatMoved(t *testing.T) {
	v := visit(t, nil)
	v.patched("s", `{"a":1}`, `{"a":2}`)
	form := v.form(v.sees("reversal?stream=s&version=2", http.StatusOK), "reversal")
	v.patched("s", `{"b":1}`)
	status, page := v.send("reversal", form, "confirm", "s", "reason", "x")
	if status != http.StatusConflict || v.last("s").Version != 3 {
		t.Fatalf("%d\n%s", status, page)
	}
	v.holds(page, "the streams have changed since the plan was shown", "plan again")
	if a := v.noted(); a.Error == "" {
		t.Errorf("%+v", a)
	}
}

func TestReversalOfManyStreams(t *testing.T) {
	v := visit(t, nil)
	for i := range 25 {
		v.patched(fmt.Sprintf("s-%02d", i), `{"a":1}`, `{"a":2}`)
	}
	v.patched("other", `{"a":1}`)
	page := v.sees("reversal?correlation=r-1&prefix=s-&after=0", http.StatusOK, "5 further streams", "Type <code>25 streams</code> to confirm", "--query --correlation r-1 --prefix s- --after 0")
	v.lacks(page, ">other<")
	status, page := v.send("reversal", v.form(page, "reversal"), "confirm", "25 streams", "reason", "x")
	if status != http.StatusOK || v.last("s-24").Type != reversal.StateRestored || v.last("other").Version != 1 {
		t.Fatalf("%d, %+v\n%s", status, v.last("s-24"), page)
	}
	v.sees("reversal?correlation=r-1&prefix=s-", http.StatusOK, "There is nothing to do.", "is reversed already", "and 55 more")
}

// A reversal that is broken off in its second stream goes on under its id.
func TestReversalThatIsBrokenOff(t *testing.T) {
	v := visit(t, nil)
	v.patched("s-1", `{"a":1}`, `{"a":2}`)
	v.patched("s-2", `{"a":1}`, `{"a":2}`)
	const query = "reversal?types=changed&after=0&until=4"
	form := v.form(v.sees(query, http.StatusOK), "reversal")
	v.driver.refused.Store(new("s-2"))
	status, page := v.send("reversal", form, "confirm", "2 streams", "reason", "x")
	if status != http.StatusInsufficientStorage || v.last("s-1").Version != 3 || v.last("s-2").Version != 2 {
		t.Fatalf("%d\n%s", status, page)
	}
	v.holds(page, "plan the same again with the id "+form.Get("id"))
	v.driver.refused.Store(nil)
	page = v.sees(query+"&id="+form.Get("id"), http.StatusOK, "Left alone", "this reversal has reversed it", "Type <code>s-2</code> to confirm")
	if status, page = v.send("reversal", v.form(page, "reversal"), "confirm", "s-2", "reason", "x"); status != http.StatusOK || v.last("s-1").Version != 3 || v.last("s-2").Version != 3 {
		t.Fatalf("%d\n%s", status, page)
	}
}

func TestMistakesInTheFormOfAReversal(t *testing.T) {
	v := visit(t, nil)
	v.patched("s", `{"a":1}`)
	v.append("annals.own", annals.Event{Type: "x"})
	for query, says := range map[string]string{
		"stream=s":                                      "needs either a version or an event id",
		"stream=s&version=0":                            "must be a number from 1",
		"stream=s&version=9":                            "has no version 9",
		"stream=nothing&version=1":                      "there is no stream nothing",
		"stream=annals.own&version=1":                   "Annals' own streams",
		"stream=s&version=1&types=a":                    "must be one of",
		"version=1":                                     "must be one of",
		"event=unknown":                                 "no event with the id",
		"reversal=unknown":                              "no event of a reversal",
		"types=nothing":                                 "no event matches",
		"types=changed&since=yesterday":                 "RFC 3339",
		"types=changed&after=x":                         "must be a position",
		"stream=" + url.QueryEscape(odd) + "&version=1": "stream",
	} {
		status, page := v.open("reversal?" + query)
		if status < 400 || status > 499 {
			t.Errorf("%s: %d", query, status)
		}
		v.holds(page, says, "Which events")
		v.lacks(page, "<script>alert", "<img", "The plan")
	}
	v.driver.FailReads(away)
	v.sees("reversal?stream=s&version=1", http.StatusServiceUnavailable, "the disk is away")
}

// What stands in events is text, and one event reads its stream alone.
func TestReversalShowsTextAndReadsItsStream(t *testing.T) {
	v := visit(t, nil)
	v.patched("many", strings.Split(strings.Repeat(`{"a":1} `, 200), " ")[:200]...)
	v.append("s", annals.Event{ID: odd, Type: "changed", Source: odd, Data: fmt.Appendf(nil, `{"a":%q}`, odd)}, annals.Event{ID: "2", Type: "changed", Data: fmt.Appendf(nil, `{"a":2,"b":%q}`, odd)})
	page := v.sees("reversal?stream=s&event="+url.QueryEscape(odd), http.StatusOK, odd)
	v.lacks(page, "<script>alert", "<img")
	if n := v.reads("reversal?stream=s&version=2"); n > 2 {
		t.Errorf("%d events were read", n)
	}
}
