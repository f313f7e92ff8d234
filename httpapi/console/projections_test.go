package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/storetest/stores"
)

const hostile = `<script>alert(1)</script>"><img src=x onerror=alert(2)>`

func TestProjectionIsRebuiltSwitchedAndRolledBack(t *testing.T) {
	o := operate(t)
	o.append("order-1", "placed", `{"total":12.5}`)
	o.reached("orders@1")
	o.shows("projections", `<a href="/console/projections/orders">orders</a>`, `annals projection list --store &#39;my store&#39;`)
	body := o.shows("projections/orders", "curl http://127.0.0.1:4000/v1/projections/orders")
	if strings.Contains(body, `/switch"`) || strings.Contains(body, `/rollback"`) || strings.Contains(body, `/generations/1/delete"`) {
		t.Errorf("actions are offered that can't be done:\n%s", body)
	}
	changed := strings.Replace(ordersFile, `"placed"}'`, `"new"}'`, 1)
	o.file.Store(&changed)
	release := o.hold(0)
	o.does("projections/orders", "projections/orders/rebuild", nil, "generation 2 of orders is being built", `<progress max="100" value="0"`, "generation 2 is building and becomes live", "generation 2 is at position 0 and the live one at ")
	o.does("projections/orders", "projections/orders/rebuild", nil, "generation 2 of orders is being built")
	o.refused("projections/orders/switch", with(o.formOn("projections/orders", "projections/orders/switch"), "confirm", "orders"), 409, "answers would go back in time")
	release()
	o.reached("orders@2")
	form := o.formOn("projections/orders", "projections/orders/switch")
	o.refused("projections/orders/switch", with(form, "confirm", "order"), 400, "must be &#34;orders&#34;")
	stale := with(form, "confirm", "orders")
	if status, body := o.sends("projections/orders/switch", stale); status != 200 || !strings.Contains(body, "generation 2 of orders is live") {
		t.Fatalf("%d %s", status, body)
	}
	o.refused("projections/orders/switch", stale, 409, "no generation but the live one")
	o.shows("projections/orders/documents", "Generation 2", "&#34;new&#34;")
	o.does("projections/orders", "projections/orders/rollback", []string{"confirm", "orders"}, "generation 1 of orders is live again")
	o.shows("projections/orders/document?key=order-1", "&#34;placed&#34;", "12.5")
	o.does("projections/orders", "projections/orders/generations/2/delete", []string{"confirm", "orders@2"}, "generation orders@2 was deleted")
	o.does("projections/orders", "projections/orders/pause", nil, "orders is paused", "/resume")
	o.does("projections/orders", "projections/orders/resume", nil, "orders goes on", "/pause")
	o.does("projections/orders", "projections/orders/delete", []string{"confirm", "orders"}, "every generation of orders was deleted")
	o.refused("projections/orders/delete", stale, 404, "projection orders is defined and has no view yet")
}

func with(form url.Values, name, value string) url.Values {
	all := url.Values{}
	for k, v := range form {
		all[k] = v
	}
	all.Set(name, value)
	return all
}

// A plan that somebody else has made untrue is not carried out.
func TestPlanIsDoneAsShownOnly(t *testing.T) {
	o := operate(t)
	o.append("order-1", "placed", `{"total":12.5}`)
	o.reached("orders@1")
	o.does("projections/orders", "projections/orders/rebuild", nil)
	o.reached("orders@2")
	form := with(o.formOn("projections/orders", "projections/orders/switch"), "confirm", "orders")
	gone := with(o.formOn("projections/orders", "projections/orders/delete"), "confirm", "orders")
	if err := o.set.Delete(t.Context(), "orders", 2); err != nil {
		t.Fatal(err)
	}
	if n, err := o.set.Rebuild(t.Context(), "orders"); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	o.reached("orders@3")
	o.refused("projections/orders/switch", form, 409, "have changed since the page was made")
	o.refused("projections/orders/delete", gone, 409, "have changed since the page was made")
	if info, err := o.set.Show(t.Context(), "orders"); err != nil || info.Live != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	o.does("projections/orders", "projections/orders/switch", []string{"confirm", "orders"}, "generation 3 of orders is live")
}

// Nor if that happens after it was compared with what was shown.
func TestPlanIsDoneAsComparedOnly(t *testing.T) {
	o := operate(t)
	o.append("order-1", "placed", `{"total":12.5}`)
	o.reached("orders@1")
	o.does("projections/orders", "projections/orders/rebuild", nil)
	o.reached("orders@2")
	form := with(o.formOn("projections/orders", "projections/orders/switch"), "confirm", "orders")
	form.Set("force", "true")
	var once sync.Once
	rebuild := func() {
		once.Do(func() {
			changed, err := projection.Parse("orders.yaml", []byte(strings.Replace(ordersFile, `"placed"}`, `"new"}`, 1)))
			if err == nil {
				err = o.set.Define(changed)
			}
			if err != nil {
				t.Error(err)
				return
			}
			if n, err := o.set.Rebuild(t.Context(), "orders"); err != nil || n != 3 {
				t.Error(n, err)
			}
		})
	}
	during := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), afterFirstRead{}, rebuild)))
	}))
	defer during.Close()
	answer, err := o.client.PostForm(during.URL+console.Path+"projections/orders/switch", form)
	status, page := o.read(answer, err)
	if status != http.StatusConflict || !strings.Contains(page, "makes generation 3 live by now") {
		t.Errorf("%d\n%s", status, page)
	}
	if info, err := o.set.Show(t.Context(), "orders"); err != nil || info.Live != 1 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestSwitchIsForced(t *testing.T) {
	o := operate(t)
	o.append("order-1", "placed", `{"total":12.5}`)
	o.reached("orders@1")
	release := o.hold(0)
	defer release()
	o.does("projections/orders", "projections/orders/rebuild", nil)
	o.does("projections/orders", "projections/orders/switch", []string{"confirm", "orders", "force", "true"}, "generation 2 of orders is live, which was forced")
}

func TestDefinition(t *testing.T) {
	o := operate(t)
	o.shows("projections/orders/definition", "orders.yaml", "query: {types: [placed, paid, removed]}")
	if status, _ := o.get("projections/orders/definition?generation=7"); status != 404 {
		t.Errorf("of a generation that is not there: %d", status)
	}
}

func TestDocumentsInPages(t *testing.T) {
	o := operate(t)
	for n := range 120 {
		o.append(name(n), "placed", `{"total":1}`)
	}
	o.append("odd", "placed", fmt.Sprintf(`{"total":1,"key":%q}`, hostile))
	o.append("odd", "placed", `{"total":77,"key":"a b/ü%2F?&#c"}`)
	o.reached("orders@1")
	body := o.shows("projections/orders/documents?prefix=order-", "order-0000", "order-0049", "with every event up to position 122")
	if strings.Contains(body, "order-0050") || strings.Count(body, "<tr>") != 51 {
		t.Errorf("more than a page:\n%s", body)
	}
	o.shows("projections/orders/documents?prefix=order-&after=order-0049", "order-0050", "order-0099", `after=order-0099&amp;prefix=order-" rel="next"`)
	body = o.shows("projections/orders/documents?prefix=order-&after=order-0099", "order-0119")
	if strings.Contains(body, `rel="next"`) {
		t.Error("a page behind the last")
	}
	o.shows("projections/orders/documents?prefix=a+b", "key=a&#43;b%2F%C3%BC%252F%3F%26%23c")
	o.shows("projections/orders/document?key="+url.QueryEscape("a b/ü%2F?&#c"), "77")
	o.shows("projections/orders/documents?prefix=nothing", "No document.")
	if n := o.count("projections/orders/documents?prefix=order-"); n > 51 {
		t.Errorf("a page of 50 documents read %d", n)
	}
	for path, status := range map[string]int{
		"projections/none": 404, "projections/none/documents": 404, "projections/orders/documents?generation=9": 404, "projections/orders/documents?generation=x": 400,
		"projections/orders/document?key=none": 404, "projections/orders/document": 400, "projections/%3Cscript%3E": 400, "projections/orders/diff": 404, "projections/orders/diff?a=1&b=9": 404,
		"consumers/none": 404, "consumers/orders@9": 404, "consumers/%3Cscript%3E": 400, "consumers/orders/parked/1": 404, "consumers/orders/parked/x": 400, "consumers/orders?after=-1": 400, "parked?after=x": 400,
	} {
		if got, body := o.get(path); got != status || strings.Contains(body, "<script>") {
			t.Errorf("%s: %d, want %d", path, got, status)
		}
	}
}

func TestGenerationsAreCompared(t *testing.T) {
	o := operate(t)
	for n := range 150 {
		o.append(name(n), "placed", fmt.Sprintf(`{"total":%d}`, n))
	}
	o.append("odd", "placed", fmt.Sprintf(`{"total":1,"key":%q}`, hostile))
	o.append("x", "placed", `{"total":1}`)
	o.reached("orders@1")
	o.does("projections/orders", "projections/orders/rebuild", nil)
	o.reached("orders@2")
	o.shows("projections/orders/diff", "generation 1 at position 15", "generation 2 at position 15", `<dd id="different">0</dd>`, "No document differs.", "annals projection diff orders --generations 1,2")
	changed := strings.Replace(ordersFile, `"placed"}'`, `"<b>new</b>"}'`, 1)
	changed = strings.Replace(changed, "key: .data.key", `key: if .data.total == 149 then "zz" else .data.key end`, 1)
	o.file.Store(&changed)
	o.does("projections/orders", "projections/orders/rebuild", nil, "generation 3")
	o.reached("orders@3")
	body := o.shows("projections/orders/diff?a=1&b=3", "<del>-   &#34;status&#34;: &#34;placed&#34;", "<ins>+   &#34;status&#34;: &#34;&lt;b&gt;new&lt;/b&gt;&#34;", `rel="next"`, "&lt;script&gt;alert(1)")
	if n := strings.Count(body, `<section class="difference">`); n != 100 {
		t.Errorf("%d differences on a page", n)
	}
	if n := o.count("projections/orders/diff?a=1&b=3"); n > 2*101 {
		t.Errorf("100 differences read %d documents", n)
	}
	body = o.shows("projections/orders/diff?a=1&b=3&after=order-0098", "only in", "order-0149", "<code>zz</code>")
	if n := strings.Count(body, `<section class="difference">`); n != 53 || strings.Contains(body, `rel="next"`) {
		t.Errorf("%d differences on the last page", n)
	}
}

// What anybody stored shows as text on every screen.
func TestHostileTextOfProjections(t *testing.T) {
	o := operate(t)
	o.append("order-1", "placed", fmt.Sprintf(`{"total":%q,%q:%q}`, hostile, hostile, hostile))
	o.append("order-1", "paid", fmt.Sprintf(`{"total":%q}`, hostile))
	o.append("odd", "placed", fmt.Sprintf(`{"total":1,"key":%q}`, "kept"+hostile))
	o.reached("orders@1")
	for _, path := range []string{
		"projections", "projections/orders", "projections/orders/documents", "projections/orders/documents?prefix=" + url.QueryEscape("kept"+hostile) + "&after=" + url.QueryEscape("a"+hostile),
		"projections/orders/document?key=" + url.QueryEscape("kept"+hostile), "consumers", "consumers/orders@1", "parked", "consumers/orders@1/parked/1", "consumers/orders@1/parked/2",
	} {
		body := o.shows(path)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") {
			t.Errorf("%s shows markup that was stored:\n%s", path, body)
		}
	}
	o.shows("consumers/orders@1/parked/1", "&lt;script&gt;alert(1)&lt;/script&gt;")
}

func TestScreensOfAnEmptyStore(t *testing.T) {
	o := operate(t)
	o.reached("orders@1")
	o.shows("projections", "orders")
	o.shows("projections/orders", "Rebuild")
	o.shows("projections/orders/documents", "No document.")
	o.shows("consumers", "orders@1")
	o.shows("consumers/orders@1", "No event is parked here.")
	o.shows("parked", "No event is parked here.", ">0</b> parked")
}

func TestScreensWithoutProjections(t *testing.T) {
	o := operate(t)
	bare := console.New(stores.Memory(t, nil), nil)
	for _, path := range []string{"projections", "projections/orders", "projections/orders/documents", "projections/orders/document?key=a", "projections/orders/definition", "projections/orders/diff", "consumers", "consumers/orders", "parked", "consumers/orders/parked/1"} {
		if status, body := o.of(bare, path); status != 404 || !strings.Contains(body, "this server keeps no projections") {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
	if status, body := o.of(bare, ""); status != http.StatusOK || regexp.MustCompile(`href="/console/(projections|consumers|parked)`).MatchString(body) {
		t.Errorf("the overview leads to screens that there are not: %d\n%s", status, body)
	}
	o.reached("orders@1")
	o.views.broken.Store(true)
	for _, path := range []string{"projections", "projections/orders", "projections/orders/documents", "projections/orders/definition", "projections/orders/diff", "consumers", "consumers/orders@1", "parked", "consumers/orders@1/parked/1"} {
		if status, body := o.get(path); status != http.StatusServiceUnavailable || !strings.Contains(body, "the views are away") {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
	o.views.broken.Store(false)
}

// Who may only read is shown no forms, and refused what they would do.
func TestReadersOfProjections(t *testing.T) {
	o := operate(t)
	o.append("order-1", "placed", `{"total":"x"}`)
	o.reached("orders@1")
	reader := console.New(o.store, &console.Options{Projections: o.set, Authenticator: readsOnly{}})
	for _, path := range []string{"projections/orders", "consumers/orders@1", "parked", "consumers/orders@1/parked/1"} {
		status, body := o.of(reader, path)
		if status != 200 || strings.Contains(body, `method="post"`) {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
}
