package console_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eb901187/annals/httpapi/console/consoletest"
)

// allOrders counts the events of the large store's orders.
const allOrders = `name: orders
query: {prefix: order-}
fold:
  '*': '{events: ((.events // 0) + 1), last: $event.type}'
`

// looksWell is what every screen is held to.
func looksWell(t *testing.T, b *consoletest.Browser, screenshot string) {
	t.Helper()
	b.Axe(t)
	b.Size(360, 740)
	if wide := consoletest.Eval[int](b, "document.documentElement.scrollWidth"); wide > 360 {
		t.Errorf("%s is %d pixels wide in a window of 360", b.Path(), wide)
	}
	b.Size(1280, 800)
	b.Screenshot(screenshot)
	b.NoErrors(t)
}

func TestBrowserRebuildsSwitchesAndRollsBack(t *testing.T) {
	o := operateOn(t, consoletest.Big(t).Store, allOrders)
	o.reached("orders@1")
	b := consoletest.OpenAt(t, o.server.URL)
	b.Go("projections")
	b.Follow("main tbody th a")
	b.WaitText("h1", "Projection orders")
	b.WaitFor(".chart.drawn")
	changed := strings.Replace(allOrders, "last: $event.type", "latest: $event.type", 1)
	o.file.Store(&changed)
	release := o.hold(5)
	defer release()
	b.Follow(`form[action$="/rebuild"] button`)
	b.WaitText(".done", "generation 2 of orders is being built")
	percent := func() int {
		return consoletest.Eval[int](b, `document.querySelector(".building progress")?.value ?? -1`)
	}
	waitFor(o.t, "progress is seen", func() bool { return percent() > 0 })
	if p := percent(); p >= 100 {
		t.Errorf("it waits half way, and %d %% are shown", p)
	}
	b.WaitFor(".chart.drawn")
	looksWell(t, b, "projection-rebuild")
	release()
	b.WaitText(".building", "100 %")
	o.reached("orders@2")
	b.Click("[data-live-pause]") // so that nothing moves under the hand
	b.WaitText("[data-live-pause]", "Go on")
	b.Click("#switch summary")
	b.WaitText("#switch .plan", "generation 2 is building and becomes live")
	b.Type("#switch input[name=confirm]", "orders")
	b.Follow("#switch button")
	b.WaitText(".done", "generation 2 of orders is live")
	b.Go("projections/orders/document?key=" + consoletest.OrderStream)
	b.WaitText("pre", `"latest"`)
	b.Go("projections/orders/diff")
	b.WaitText("#different", "100")
	b.WaitText(".difference pre", "latest")
	looksWell(t, b, "projection-diff")
	b.Go("projections/orders")
	b.Click("#rollback summary")
	b.Type("#rollback input[name=confirm]", "orders")
	b.Follow("#rollback button")
	b.WaitText(".done", "generation 1 of orders is live again")
	b.Go("projections/orders/documents?prefix=" + consoletest.OrderStream)
	b.Follow("main tbody th a")
	b.WaitText("pre", `"last"`)
	looksWell(t, b, "projection-document")
}

func TestBrowserShowsProjectionsAndConsumers(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	for path, name := range map[string]string{
		"projections": "projections", "projections/orders": "projection", "projections/orders/definition": "projection-definition", "projections/orders/documents": "projection-documents",
		"projections/orders/diff": "projection-generations", "consumers": "consumers", "consumers/fragile@1": "consumer", "parked": "parked",
	} {
		b.Go(path)
		looksWell(t, b, name)
	}
	b.Go("parked")
	b.Follow("main tbody th a")
	b.WaitText("h1", "Parked event ")
	looksWell(t, b, "parked-event-of-large-store")
}

func TestBrowserEditsAParkedEvent(t *testing.T) {
	store := consoletest.Big(t).Store
	const file = "name: orders\nquery: {prefix: weighed-}\nfold:\n  weighed: '{weight: ($event.data.weight + 0)}'\n"
	o := operateOn(t, store, file)
	first := o.append("weighed-1", "weighed", `{"weight":"heavy"}`)
	o.append("weighed-1", "weighed", `{"weight":7}`)
	second := o.append("weighed-2", "weighed", fmt.Sprintf(`{"weight":%q}`, consoletest.Script))
	o.reached("orders@1")
	b := consoletest.OpenAt(t, o.server.URL)
	b.Go("parked")
	b.WaitText("main", "3 parked")
	b.Follow("main tbody th a")
	b.WaitText("h1", "Parked event weighed-1@1")
	b.Click("#edit summary")
	b.Type("#edit textarea", `{"weight": 3`)
	b.Type("#edit input[name=reason]", "weighed again")
	b.Follow("#edit button")
	b.WaitText(".problem", "JSON")
	b.Forget() // the browser complains of the refusal
	b.Go(fmt.Sprintf("consumers/orders@1/parked/%d", first))
	b.Click("#edit summary")
	b.Type("#edit textarea", `{"weight": 3}`)
	b.Type("#edit input[name=reason]", "weighed again")
	looksWell(t, b, "parked-event")
	b.Follow("#edit button")
	b.WaitText(".done", "is handled with other data now: weighed again")
	b.WaitText(".live-part", "weighed-2@1")
	waitFor(o.t, "it has folded", func() bool { return len(o.left()) == len(fmt.Sprint(second)) })
	b.Go("projections/orders/document?key=weighed-1")
	b.WaitText("pre", "7") // what waited has folded too
	b.Go(fmt.Sprintf("consumers/orders@1/parked/%d", second))
	b.Click("#drop summary")
	b.Type("#drop input[name=reason]", "not to be mended")
	b.Type("#drop input[name=confirm]", fmt.Sprintf("orders@1/%d", second))
	b.Follow("#drop button")
	b.WaitText(".done", "is passed over: not to be mended")
	b.WaitText(".live-part", "No event is parked here.") // it comes without a reload
	b.NoErrors(t)
}
