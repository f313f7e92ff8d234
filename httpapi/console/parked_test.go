package console_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eb901187/annals/access"
)

// parkThree has the events 1, 3 and 4 fail, and 2 wait behind 1.
func parkThree(t *testing.T) *operated {
	o := operate(t)
	o.append("order-1", "placed", `{"total":"x"}`)
	o.append("order-1", "paid", `{}`)
	o.append("order-2", "placed", `{"total":"y"}`)
	o.append("order-3", "placed", `{"total":"z"}`)
	o.append("order-4", "placed", `{"total":4}`)
	o.reached("orders@1")
	return o
}

// left waits until no event is to be tried again, and returns those that are parked.
func (o *operated) left() string {
	o.t.Helper()
	var positions []string
	waitFor(o.t, "the retries are over", func() bool {
		positions = nil
		streams := map[string]bool{}
		for p, err := range o.set.Control("orders@1").Parked(o.t.Context()) {
			if err != nil || p.Retry || p.Waiting && !streams[p.Stream] {
				return false
			}
			streams[p.Stream] = true
			positions = append(positions, fmt.Sprint(p.Position))
		}
		return true
	})
	return strings.Join(positions, " ")
}

func TestParkedEventsAreRetriedEditedAndDropped(t *testing.T) {
	o := parkThree(t)
	o.shows("parked", ">4</b> parked", `<a href="/console/consumers/orders@1/parked/1">order-1@1</a>`, "waits", "Retry stream")
	o.shows("consumers/orders", "Consumer orders@1", "order-3@1", "annals parked list orders@1 --store &#39;my store&#39;")
	o.shows("consumers/orders@1/parked/2", "It waits behind an earlier event", `href="/console/event/order-1?version=2"`)
	o.does("consumers/orders@1", "consumers/orders@1/retry", nil, "3 events of orders@1 are tried again")
	if left := o.left(); left != "1 2 3 4" {
		t.Fatalf("after a retry that fails: %s", left)
	}
	one := "consumers/orders@1/parked/1"
	o.does("parked", one+"/retry", nil, "event 1 of orders@1 (order-1@1) is tried again")
	o.left()
	form := o.formOn(one, one+"/edit")
	o.refused(one+"/edit", with(with(form, "data", `{"total":1`), "reason", "it was text"), 400, "JSON")
	o.refused(one+"/edit", with(with(form, "data", `{"a":1,"a":2}`), "reason", "it was text"), 400, "&#34;a&#34;")
	o.refused(one+"/edit", with(form, "data", `{"total":1}`), 400, "must say why")
	edited := with(with(form, "data", "{\r\n  \"total\": 1.50\r\n}"), "reason", "it was text")
	if status, body := o.sends(one+"/edit", edited); status != 200 || !strings.Contains(body, "event 1 of orders@1 (order-1@1) is handled with other data now: it was text") {
		t.Fatalf("%d %s", status, body)
	}
	if left := o.left(); left != "3 4" {
		t.Fatalf("after an edit: %s", left)
	}
	o.shows("projections/orders/document?key=order-1", "&#34;paid&#34;", "1.5")
	o.refused(one+"/edit", edited, 404, "no parked event at position 1")
	o.refused(one+"/retry", edited, 404, "no parked event at position 1")
	three := "consumers/orders@1/parked/3"
	form = o.formOn(three, three+"/drop")
	o.refused(three+"/drop", with(form, "reason", "a test"), 400, "must be &#34;orders@1/3&#34;")
	o.refused(three+"/drop", with(with(form, "confirm", "orders@1/3"), "reason", " "), 400, "must say why")
	o.does(three, three+"/drop", []string{"confirm", "orders@1/3", "reason", "a test"}, "event 3 of orders@1 (order-2@1) is passed over: a test")
	if left := o.left(); left != "4" {
		t.Fatalf("after a drop: %s", left)
	}
	notes, _, err := access.Actions(t.Context(), o.store, nil)
	if err != nil || len(notes) == 0 || notes[0].What != "parked.drop" || notes[0].Target != "orders@1/3" || notes[0].Error != "" || !strings.Contains(notes[0].Detail, "a test") {
		t.Errorf("operators' log: %+v, %v", notes, err)
	}
}

// An edit that did not help is what the next one begins from.
func TestEditIsShownAgain(t *testing.T) {
	o := parkThree(t)
	four := "consumers/orders@1/parked/4"
	o.does(four, four+"/edit", []string{"data", `{"total":"still text"}`, "reason", "a try"})
	o.left()
	o.shows(four, "Edited: a try", "still text")
	two := "consumers/orders@1/parked/2"
	o.does(two, two+"/drop", []string{"confirm", "orders@1/2", "reason", "a test"}, "is passed over")
	if left := o.left(); left != "1 2 3 4" {
		t.Errorf("%s", left)
	}
}

func TestParkedEventsInPages(t *testing.T) {
	o := operate(t)
	for n := range 120 {
		o.append(name(n), "placed", `{"total":"x"}`)
	}
	o.reached("orders@1")
	o.does("projections/orders", "projections/orders/rebuild", nil)
	o.reached("orders@2")
	o.shows("parked", ">240</b> parked", "/parked?after=50&amp;consumer=orders%401", "order-0049@1")
	body := o.shows("parked?consumer=orders@1&after=100", "order-0119@1", "/parked?after=30&amp;consumer=orders%402", "orders@2/parked/30")
	if strings.Contains(body, "orders@2/parked/31") {
		t.Error("more than a page")
	}
	o.shows("consumers/orders@2?after=50", "/consumers/orders@2?after=100")
	if n := o.count("parked"); n > 51 {
		t.Errorf("a page of 50 parked events read %d documents", n)
	}
	if n := o.count("consumers/orders@1"); n > 51 {
		t.Errorf("a page of 50 parked events read %d documents", n)
	}
}

func TestConsumerIsPausedAndGoesOn(t *testing.T) {
	o := operate(t)
	o.reached("orders@1")
	o.does("consumers/orders@1", "consumers/orders@1/pause", nil, "orders@1 is paused", "paused", "/resume")
	o.does("consumers/orders@1", "consumers/orders@1/resume", nil, "orders@1 goes on", "/pause")
	o.refused("consumers/none/pause", o.formOn("consumers/orders@1", "consumers/orders@1/pause"), 404, "there is no consumer none")
}
