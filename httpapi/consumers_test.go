package httpapi

import (
	"encoding/json"
	"fmt"
	"testing"
)

// parkedOf waits until orders reflects position, and returns its parked events.
func (k *kept) parkedOf(t *testing.T, position string) ParkedPage {
	t.Helper()
	k.built(t, "1", position)
	var page ParkedPage
	if err := json.Unmarshal([]byte(k.want(t, "GET /v1/consumers/orders/parked", 200)), &page); err != nil {
		t.Fatal(err)
	}
	return page
}

// settled waits until no parked event is to be tried again.
func (k *kept) settled(t *testing.T) []string {
	t.Helper()
	for {
		var page ParkedPage
		if err := json.Unmarshal([]byte(k.want(t, "GET /v1/consumers/orders/parked", 200)), &page); err != nil {
			t.Fatal(err)
		}
		positions, busy := []string{}, false
		streams := map[string]bool{}
		for _, p := range page.Parked {
			busy = busy || p.Retry || p.Waiting && !streams[p.Stream]
			streams[p.Stream] = true
			positions = append(positions, fmt.Sprint(p.Position))
		}
		if !busy {
			return positions
		}
	}
}

func TestParkedEvents(t *testing.T) {
	k := keep(t)
	k.append(t, "order-1", "placed", `{"total":"x"}`) // 1: fails
	k.append(t, "order-1", "paid", `{}`)              // 2: waits behind it
	k.append(t, "order-2", "placed", `{"total":"y"}`) // 3: fails
	k.append(t, "order-3", "placed", `{"total":"z"}`) // 4: fails
	last := k.append(t, "order-4", "placed", `{"total":4}`)
	page := k.parkedOf(t, last)
	if len(page.Parked) != 4 || page.Consumer != "orders@1" || page.Next != 0 || !page.Parked[1].Waiting || page.Parked[0].Error == "" {
		t.Fatalf("%+v", page)
	}
	k.want(t, "GET /v1/consumers/orders@1/parked?limit=2", 200, `"next":"2"`, `"position":"1","stream":"order-1","version":"1"`)
	k.want(t, "GET /v1/consumers/orders@1/parked?limit=2&after=2", 200, `"position":"3"`, `"position":"4"`)
	k.want(t, "GET /v1/consumers", 200, `"name":"orders@1","state":"idle","position":"5","end":"5","lag":0,"lagSeconds":0,"parked":4`)

	k.want(t, "POST /v1/consumers/orders/parked/3/retry", 200, `{"consumer":"orders@1","retrying":1}`)
	if got := fmt.Sprint(k.settled(t)); got != "[1 2 3 4]" {
		t.Fatalf("after a retry that fails: %s", got)
	}
	k.want(t, "POST /v1/consumers/orders/parked/2/retry", 400, "waits behind an earlier event")
	k.want(t, "PUT /v1/consumers/orders/parked/1?reason=it+was+text {\"total\":1}", 200, `{"consumer":"orders@1","retrying":1}`)
	if got := fmt.Sprint(k.settled(t)); got != "[3 4]" {
		t.Fatalf("after an edit: %s", got)
	}
	k.want(t, "GET /v1/views/orders/order-1", 200, `{"status":"paid","total":1}`) // what waited followed
	k.want(t, "DELETE /v1/consumers/orders/parked/3?reason=a+test", 200, `"retrying":1`)
	if got := fmt.Sprint(k.settled(t)); got != "[4]" {
		t.Fatalf("after a drop: %s", got)
	}
	k.want(t, "GET /v1/views/orders/order-2", 404)
	k.want(t, "POST /v1/consumers/orders/parked/retry", 200, `"retrying":1`)
	if got := fmt.Sprint(k.settled(t)); got != "[4]" {
		t.Fatalf("after retrying all: %s", got)
	}
	// What was decided holds for a rebuild too.
	k.want(t, "POST /v1/projections/orders/rebuild", 200)
	k.built(t, "2", last)
	k.want(t, "GET /v1/views/orders/order-1?generation=2", 200, `{"status":"paid","total":1}`)
	k.want(t, "GET /v1/consumers/orders@2/parked", 200, `"consumer":"orders@2","parked":[{"consumer":"orders@2","position":"4"`)
	k.want(t, "GET /v1/projections/orders/diff", 200, `"same":2,"different":0`)
}

func TestDecisionAboutAnEventThatWaits(t *testing.T) {
	k := keep(t)
	k.append(t, "order-1", "placed", `{"total":"x"}`)
	last := k.append(t, "order-1", "placed", `{"total":"y"}`)
	k.parkedOf(t, last)
	k.want(t, "DELETE /v1/consumers/orders/parked/2?reason=a+test", 200, `"retrying":0`)
	k.want(t, "PUT /v1/consumers/orders/parked/1?reason=a+test {\"total\":1}", 200, `"retrying":1`)
	if got := k.settled(t); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	k.want(t, "GET /v1/views/orders/order-1", 200, `{"status":"placed","total":1}`)
}

func TestRefusedDecisions(t *testing.T) {
	k := keep(t)
	k.parkedOf(t, k.append(t, "order-1", "placed", `{"total":"x"}`))
	for request, status := range map[string]int{
		"DELETE /v1/consumers/orders/parked/1":                         400, // no reason
		"DELETE /v1/consumers/orders/parked/1?reason=%20":              400,
		"PUT /v1/consumers/orders/parked/1 {}":                         400,
		"PUT /v1/consumers/orders/parked/1?reason=r {\"a\":1,\"a\":2}": 400, // no JSON
		"PUT /v1/consumers/orders/parked/9?reason=r {}":                404,
		"DELETE /v1/consumers/orders/parked/9?reason=r":                404,
		"POST /v1/consumers/orders/parked/9/retry":                     404,
		"POST /v1/consumers/none/parked/retry":                         404,
		"GET /v1/consumers/none/parked":                                404,
		"GET /v1/consumers/orders@9/parked":                            404,
		"POST /v1/consumers/none/pause":                                404,
		"POST /v1/projections/none/pause":                              404,
		"POST /v1/projections/none/rebuild":                            404,
		"POST /v1/projections/none/switch":                             404,
		"POST /v1/projections/none/rollback":                           404,
		"POST /v1/projections/orders/rollback":                         409,
		"POST /v1/projections/orders/rollback?dryRun=true":             409,
		"DELETE /v1/projections/none":                                  404,
		"DELETE /v1/projections/none?dryRun=true":                      404,
		"DELETE /v1/projections/orders/generations/1?dryRun=true":      409,
		"DELETE /v1/projections/orders/generations/7":                  404,
		"GET /v1/projections/orders/diff":                              404,
		"GET /v1/projections/orders/diff?b=7":                          404,
		"GET /v1/views/none":                                           404,
		"GET /v1/views/none/key":                                       404,
		"GET /v1/views/orders?generation=7":                            404,
	} {
		k.want(t, request, status, `"hint":`)
	}
}
