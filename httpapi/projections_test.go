package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/eb901187/annals/projection"
)

const epochText = `"2020-05-01T20:00:00Z"`

// status is what the API says of a generation of orders that is idle.
func idle(number, position string) string {
	return `{"name":"orders@` + number + `","state":"idle","position":"` + position + `","end":"` + position + `","lag":0,"lagSeconds":0,"parked":0,"runner":"runner","updated":` + epochText + `}`
}

// built waits until a generation of orders reflects a position.
func (k *kept) built(t *testing.T, generation, position string) {
	t.Helper()
	k.want(t, "GET /v1/views/orders?waitSeconds=60&generation="+generation+"&wait="+position, 200)
}

// The shapes that programs may rely on, in full.
func TestGoldenShapesOfProjections(t *testing.T) {
	k := keep(t)
	revision := func() string {
		p, err := projection.Parse("orders.yaml", []byte(*k.file.Load()))
		if err != nil {
			t.Fatal(err)
		}
		return p.Revision()
	}
	first := revision()
	position := k.append(t, "order-7", "placed", `{"total":12.5}`)
	k.built(t, "1", position)
	generation := func(number, role, revision, status string) string {
		return `{"number":` + number + `,"role":"` + role + `","revision":"` + revision + `","created":` + epochText + `,"status":` + status + `}`
	}
	info := func(live, previous, revision string, generations ...string) string {
		return `{"name":"orders","file":"orders.yaml","revision":"` + revision + `","live":` + live + previous + `,"generations":[` + strings.Join(generations, ",") + `]}`
	}
	exactly := func(request, want string) {
		t.Helper()
		if text := k.want(t, request, 200); text != want+"\n" {
			t.Fatalf("%s answers\n%swant\n%s", request, text, want)
		}
	}
	one := generation("1", "live", first, idle("1", "1"))
	exactly("GET /v1/projections/orders", info("1", "", first, one))
	state := strings.ReplaceAll(idle("1", "1"), "orders@1", "state@1")
	k.want(t, "GET /v1/views/state?wait=1", 200)
	exactly("GET /v1/projections", `{"projections":[`+info("1", "", first, one)+
		`,{"name":"state","revision":"`+projection.State().Revision()+`","live":1,"generations":[`+generation("1", "live", projection.State().Revision(), state)+`]}]}`)

	changed := strings.Replace(ordersFile, `"paid"`, `"PAID"`, 1)
	changed = strings.Replace(changed, "$event.data.total + 0", "$event.data.total * 2", 1)
	k.file.Store(&changed)
	second := revision()
	k.want(t, "POST /v1/projections/orders/rebuild", 200, `"live":1,`, `"number":2,"role":"building"`)
	k.built(t, "2", position)
	two := generation("2", "building", second, idle("2", "1"))
	exactly("GET /v1/projections/orders", info("1", "", second, one, two))
	exactly("GET /v1/projections/orders/diff", `{"a":{"generation":1,"position":"1"},"b":{"generation":2,"position":"1"},"same":0,"different":1,"newer":0,`+
		`"differences":[{"key":"order-7","a":{"status":"placed","total":12.5},"b":{"status":"placed","total":25}}]}`)
	exactly("POST /v1/projections/orders/switch?dryRun=true", `{"projection":"orders","changes":[{"generation":1,"from":"live","to":"previous"},{"generation":2,"from":"building","to":"live"}]}`)
	exactly("GET /v1/projections/orders", info("1", "", second, one, two)) // a dry run changes nothing
	was, is := strings.Replace(one, "live", "previous", 1), strings.Replace(two, "building", "live", 1)
	exactly("POST /v1/projections/orders/switch", info("2", `,"previous":1`, second, was, is))
	exactly("GET /v1/views/orders?wait=1", `{"projection":"orders","generation":2,"position":"1","documents":[{"key":"order-7","position":"1","document":{"status":"placed","total":25}}]}`)
	exactly("POST /v1/projections/orders/rollback?dryRun=true", `{"projection":"orders","changes":[{"generation":1,"from":"previous","to":"live"},{"generation":2,"from":"live","to":"building"}]}`)
	exactly("DELETE /v1/projections/orders/generations/1?dryRun=true", `{"projection":"orders","changes":[{"generation":1,"from":"previous","to":"deleted"}]}`)
	exactly("DELETE /v1/projections/orders/generations/1", info("2", "", second, is))
	exactly("DELETE /v1/projections/orders?dryRun=1", `{"projection":"orders","changes":[{"generation":2,"from":"live","to":"deleted"}]}`)
	exactly("DELETE /v1/projections/orders", info("0", "", second))
	exactly("GET /v1/consumers", `{"consumers":[`+state+`]}`)
}

// While a changed definition is built, reads are answered from the old one; then
// they are switched over in one step, and back.
func TestRebuildBesideReads(t *testing.T) {
	k := keep(t)
	position := k.append(t, "order-7", "placed", `{"total":12.5}`)
	k.built(t, "1", position)
	broken := strings.Replace(ordersFile, "placed: '{", "placed: '{{", 1)
	k.file.Store(&broken)
	k.want(t, "POST /v1/projections/orders/rebuild", 400, `"code":"invalid"`, "orders.yaml:4: ")
	changed := strings.Replace(ordersFile, `"placed"}'`, `"new"}'`, 1)
	k.file.Store(&changed)
	release := k.hold()
	k.want(t, "POST /v1/projections/orders/rebuild", 200, `"number":2,"role":"building"`)
	k.want(t, "GET /v1/views/orders/order-7", 200, `{"status":"placed","total":12.5}`)
	k.want(t, "POST /v1/projections/orders/switch", 409, `"code":"conflict"`, "answers would go back in time", `"hint":"wait until it has caught up`)
	k.want(t, "POST /v1/projections/orders/switch?dryRun=true", 409, "answers would go back in time")
	k.want(t, "POST /v1/projections/orders/rebuild", 200, `"number":2,"role":"building"`) // goes on
	release()
	k.built(t, "2", position)
	k.want(t, "GET /v1/views/orders/order-7", 200, `{"status":"placed","total":12.5}`)
	k.want(t, "GET /v1/views/orders/order-7?generation=2", 200, `{"status":"new","total":12.5}`)
	k.want(t, "POST /v1/projections/orders/switch", 200, `"live":2,"previous":1`)
	k.want(t, "GET /v1/views/orders/order-7", 200, `{"status":"new","total":12.5}`)
	k.want(t, "POST /v1/projections/orders/switch", 409, "no generation but the live one")
	k.want(t, "DELETE /v1/projections/orders/generations/2", 409, "is live")
	position = k.append(t, "order-8", "placed", `{"total":1}`) // the previous one goes on too
	k.want(t, "POST /v1/projections/orders/rollback", 200, `"live":1,"generations"`)
	k.want(t, "GET /v1/views/orders/order-8?wait="+position, 200, `{"status":"placed","total":1}`)
	k.built(t, "2", position)
	k.want(t, "GET /v1/projections/orders/diff?a=2&b=1&limit=1", 200, `"different":2`, `"a":{"generation":2,`, `"differences":[{"key":"order-7","a":{"status":"new","total":12.5},`)
	k.want(t, "GET /v1/projections/orders/diff", 200, `"b":{"generation":2,`)
}

// What was forced is done, and the conditions that were not held are named.
func TestSwitchIsForced(t *testing.T) {
	k := keep(t)
	k.built(t, "1", k.append(t, "order-7", "placed", `{"total":12.5}`))
	changed := strings.Replace(ordersFile, `"placed"}'`, `"new"}'`, 1)
	k.file.Store(&changed)
	release := k.hold()
	defer release()
	k.want(t, "POST /v1/projections/orders/rebuild", 200)
	k.want(t, "POST /v1/projections/orders/switch?force=true&dryRun=true", 200, `"from":"building","to":"live"`)
	k.want(t, "POST /v1/projections/orders/switch?force=true&generation=3", 409, `makes generation 2 live by now`)
	k.want(t, "POST /v1/projections/orders/switch?force=true&generation=3&dryRun=true", 409, `makes generation 2 live by now`)
	k.want(t, "POST /v1/projections/orders/switch?force=true&generation=x", 400, `generation`)
	k.want(t, "POST /v1/projections/orders/switch?force=true&generation=2", 200, `"live":2,"previous":1`)
	k.want(t, "GET /v1/views/orders/order-7", 404, `no document \"order-7\" at position 0`)
}

func TestPauseAndResume(t *testing.T) {
	k := keep(t)
	k.built(t, "1", k.append(t, "order-7", "placed", `{"total":12.5}`))
	k.want(t, "POST /v1/projections/orders/pause", 200, `"state":"paused"`)
	position := k.append(t, "order-8", "placed", `{"total":1}`)
	k.want(t, "GET /v1/views/state?wait="+position, 200) // others go on
	k.want(t, "GET /v1/projections/orders", 200, `"state":"paused","position":"1","end":"2","lag":1`)
	k.want(t, "POST /v1/projections/orders/resume", 200)
	k.built(t, "1", position)
	k.want(t, "POST /v1/consumers/orders/pause", 200, `"name":"orders@1","state":"paused"`)
	k.want(t, "POST /v1/consumers/orders@1/resume", 200, `"name":"orders@1"`)
	k.built(t, "1", k.append(t, "order-9", "placed", `{"total":1}`))
}

func TestMetricsOfProjections(t *testing.T) {
	k := keep(t)
	position := k.append(t, "order-7", "placed", `{"total":"x"}`)
	k.built(t, "1", position)
	k.want(t, "GET /v1/views/state?wait="+position, 200)
	k.want(t, "GET /metrics", 200,
		"\n"+`annals_projection_lag_events{generation="1",projection="orders",role="live"} 0`,
		"\n"+`annals_projection_lag_seconds{generation="1",projection="state",role="live"} 0`,
		"\n"+`annals_projection_parked{generation="1",projection="orders",role="live"} 1`,
		"\n"+`annals_projection_parked{generation="1",projection="state",role="live"} 0`)
	k.want(t, "POST /v1/consumers/state/pause", 200)
	k.append(t, "order-8", "placed", `{}`)
	k.want(t, "GET /metrics", 200, "\n"+`annals_projection_lag_events{generation="1",projection="state",role="live"} 1`)
}

// What nothing keeps up to date has no lag that could call anybody.
func TestStaleGenerationsHaveNoMetrics(t *testing.T) {
	k := keep(t)
	position := k.append(t, "order-7", "placed", `{"total":1}`)
	k.built(t, "1", position)
	for _, next := range []string{"2", "3"} {
		k.want(t, "POST /v1/projections/orders/rebuild", 200)
		k.built(t, next, position)
		k.want(t, "POST /v1/projections/orders/switch?force=true", 200, `"live":`+next)
	}
	k.want(t, "GET /v1/projections/orders", 200, `"number":1,"role":"stale"`)
	metrics := k.want(t, "GET /metrics", 200, `{generation="2",projection="orders",role="previous"}`, `{generation="3",projection="orders",role="live"}`)
	if strings.Contains(metrics, `generation="1",projection="orders"`) {
		t.Error(metrics)
	}
}

// Every answer has the members that the OpenAPI document requires of it, and none
// that it does not name.
func TestAnswersMatchTheirSchemas(t *testing.T) {
	k := keep(t)
	position := k.append(t, "order-7", "placed", `{"total":"x"}`)
	k.append(t, "order-7", "paid", `{}`)
	last := k.append(t, "order-8", "placed", `{"total":1}`)
	k.built(t, "1", last)
	k.want(t, "GET /v1/views/state?wait="+last, 200)
	k.want(t, "POST /v1/projections/orders/rebuild", 200)
	k.built(t, "2", last)
	all := schemas()
	for request, schema := range map[string]string{
		"GET /v1/streams/order-7/state":                                 "State",
		"GET /v1/views/orders?limit=1":                                  "Documents",
		"GET /v1/projections":                                           "Projections",
		"GET /v1/projections/orders":                                    "Projection",
		"POST /v1/projections/orders/switch?dryRun=true":                "Plan",
		"GET /v1/projections/orders/diff":                               "Diff",
		"GET /v1/consumers":                                             "Consumers",
		"POST /v1/consumers/state/pause":                                "Consumer",
		"GET /v1/consumers/orders/parked?limit=1":                       "ParkedPage",
		"POST /v1/consumers/orders/parked/" + position + "/retry":       "Asked",
		"GET /v1/views/orders/none":                                     "Problem",
		"POST /v1/projections/orders/rebuild":                           "ProjectionOrPlan",
		"DELETE /v1/projections/orders/generations/2?dryRun=true":       "ProjectionOrPlan",
		"GET /v1/streams/order-7/events":                                "Events",
		"GET /v1/position":                                              "Position",
		"DELETE /v1/consumers/orders@2/parked/" + position + "?reason=": "Problem",
	} {
		_, _, text := k.do(t, strings.Fields(request)[0], strings.Fields(request)[1], "")
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("%s: %s", request, text)
		}
		if wrong := mismatch(all, ref(schema), value); wrong != "" {
			t.Errorf("%s answers %s: %s", request, text, wrong)
		}
	}
}

// mismatch says where value is not what schema describes.
func mismatch(all, schema object, value any) string {
	if name, ok := schema["$ref"].(string); ok {
		return mismatch(all, all[strings.TrimPrefix(name, "#/components/schemas/")].(object), value)
	}
	if choices, ok := schema["anyOf"].([]object); ok {
		wrong := ""
		for _, choice := range choices {
			if wrong = mismatch(all, choice, value); wrong == "" {
				return ""
			}
		}
		return wrong
	}
	switch v := value.(type) {
	case []any:
		items, ok := schema["items"].(object)
		if !ok {
			return "an array where none may be"
		}
		for _, item := range v {
			if wrong := mismatch(all, items, item); wrong != "" {
				return wrong
			}
		}
	case map[string]any:
		return mismatchedMembers(all, schema, v)
	case string:
		if schema["type"] != nil && schema["type"] != "string" {
			return "the string " + v
		}
	case float64:
		if schema["type"] != nil && schema["type"] != "integer" && schema["type"] != "number" {
			return "a number where none may be"
		}
	}
	return ""
}

func mismatchedMembers(all, schema object, v map[string]any) string {
	properties, ok := schema["properties"].(object)
	if !ok {
		return "" // any object
	}
	for _, name := range schema["required"].([]string) {
		if _, ok := v[name]; !ok {
			return "no member " + name
		}
	}
	for name, member := range v {
		described, ok := properties[name].(object)
		if !ok {
			return "the member " + name + " is not described"
		}
		if wrong := mismatch(all, described, member); wrong != "" {
			return name + ": " + wrong
		}
	}
	return ""
}
