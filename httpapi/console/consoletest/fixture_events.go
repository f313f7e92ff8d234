package consoletest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

// How much Big holds.
const (
	requests = 11_000 // of 6 events
	orders   = 2_000  // of 5
	accounts = 1_200  // of 20
)

// appendEvents appends all but what Annals itself records.
func (f *Fixture) appendEvents(ctx context.Context) error {
	random := rand.New(rand.NewPCG(1, 2))
	var all []annals.Append
	for i := range orders {
		all = append(all, f.order(i))
	}
	for i := range accounts {
		all = append(all, f.account(i, random))
	}
	for i := range requests {
		all = append(all, f.request(i, random))
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = append(all, f.oddities()...)
	return appendAll(ctx, f.Store, all)
}

// appendAll appends so many streams at once, so that one sync serves many.
func appendAll(ctx context.Context, store *annals.Store, all []annals.Append) error {
	const at, writers = 100, 4
	parts := make(chan []annals.Append)
	errs := make(chan error, writers)
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for part := range parts {
				if _, err := store.AppendAll(ctx, part); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for ; len(all) > 0; all = all[min(at, len(all)):] {
		parts <- all[:min(at, len(all))]
	}
	close(parts)
	running.Wait()
	close(errs)
	return <-errs
}

// at is a time so many thousandths of the way between Began and now.
func (f *Fixture) at(thousandth float64) time.Time {
	return f.Began.Add(time.Duration(thousandth / 1000 * float64(49*time.Minute)))
}

func (f *Fixture) order(i int) annals.Append {
	stream := fmt.Sprintf("order-%05d", i)
	when := f.at(float64(i%990) + 1)
	a := annals.Append{Stream: stream, Expected: annals.NoStream}
	for version, e := range []struct{ kind, data string }{
		{"order-placed", fmt.Sprintf(`{"customer":"customer-%d","total":%d,"currency":"EUR","items":[{"sku":"sku-%d","quantity":%d}]}`, i%300, 1000+i, i%50, 1+i%3)},
		{"order-changed", fmt.Sprintf(`{"total":%d,"note":"leave it at the door"}`, 1100+i)},
		{"order-paid", fmt.Sprintf(`{"paid":true,"method":%q}`, []string{"card", "transfer", "voucher"}[i%3])},
		{"order-packed", `{"packed":true}`},
		{"order-shipped", fmt.Sprintf(`{"shipped":true,"parcel":"P%06d"}`, i)},
	} {
		event := annals.Event{Type: e.kind, Source: "shop", Time: when.Add(time.Duration(version) * 3 * time.Second), Correlation: fmt.Sprintf("checkout-%d", i), Data: []byte(e.data)}
		if version > 0 {
			event.Causation = fmt.Sprintf("%s@%d", stream, version)
		}
		a.Events = append(a.Events, event)
	}
	return a
}

func (f *Fixture) account(i int, random *rand.Rand) annals.Append {
	a := annals.Append{Stream: fmt.Sprintf("account-%04d", i), Expected: annals.NoStream}
	balance := 0
	for n := range 20 {
		change := random.IntN(2000) - 700
		balance += change
		a.Events = append(a.Events, annals.Event{Type: "account-booked", Source: "bank", Time: f.at(float64(n*49 + i%40)), Data: fmt.Appendf(nil, `{"amount":%d,"balance":%d}`, change, balance)})
	}
	return a
}

// request is what a gateway records of a request: shop calls orders, which calls
// payments. One in forty fails there.
func (f *Fixture) request(i int, random *rand.Rand) annals.Append {
	id := fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
	began := f.at(float64(random.IntN(1000)))
	fails := random.IntN(40) == 0
	if i == 0 {
		id, began, fails = FailingRequest, f.at(998), true
	}
	payments := time.Duration(4+random.ExpFloat64()*12) * time.Millisecond
	status, problem, kind := 200, "", tracking.ErrorKind("")
	if fails {
		status, payments = 503, payments*9
		if i%2 == 0 {
			status, problem, kind = 0, "no answer within 2s", tracking.KindTimeout
		}
	}
	outer := 200
	if fails {
		outer = 502
	}
	path := []string{"/checkout", "/orders/17", "/basket", "/"}[i%4]
	call := func(n int, source, service string, after, took time.Duration, status int) tracking.Exchange {
		x := tracking.Exchange{
			RequestID: id, CallID: fmt.Sprintf("%012x%04x", i+1, n), Service: service, Source: source, Method: "POST", Host: service + ".internal", Path: path,
			Began: began.Add(after), Status: status, Duration: took, RequestBytes: 312, ResponseBytes: int64(200 + i%900),
		}
		if n > 1 {
			x.ParentID = fmt.Sprintf("%012x%04x", i+1, n-1)
		}
		return x
	}
	shop := call(1, "gateway", "shop", 0, payments+9*time.Millisecond, outer)
	order := call(2, "shop", "orders", 3*time.Millisecond, payments+5*time.Millisecond, outer)
	pay := call(3, "orders", "payments", 5*time.Millisecond, payments, status)
	pay.Error, pay.ErrorKind = problem, kind
	return annals.Append{Stream: tracking.StreamPrefix + id, Expected: annals.NoStream, Events: []annals.Event{shop.Request(), order.Request(), pay.Request(), pay.Response(), order.Response(), shop.Response()}}
}

// oddities are the streams that tests look at by name.
func (f *Fixture) oddities() []annals.Append {
	hostile := annals.Event{
		ID: `<b>id</b>"'>`, Type: "script-alert", Source: "source" + Script, Time: f.at(999), Correlation: HostileRequest, Causation: HostileStream + "@1",
		Attributes: map[string]string{"subject": Script, "trouble": `"><img src=x onerror=alert(1)>`},
		Data:       []byte(`{"text":"<script>alert(1)</script>","<img src=x onerror=alert(1)>":"\"><svg onload=alert(1)>","link":"javascript:alert(1)"}`),
	}
	text := hostile
	text.ID, text.ContentType, text.Data = Script, "text/html", []byte("<h1>not a heading</h1>"+Script)
	first := hostile
	first.ID, first.Causation = "first", ""
	long := annals.Append{Stream: LongStream, Expected: annals.Any}
	var all []annals.Append
	for n := range 2000 {
		long.Events = append(long.Events, annals.Event{Type: "counted", Source: "counter", Time: f.at(float64(n) / 2.1), Data: fmt.Appendf(nil, `{"count":%d}`, n+1)})
		if len(long.Events) == 1000 {
			all = append(all, long)
			long.Events = nil
		}
	}
	return append(all,
		annals.Append{Stream: HostileStream, Expected: annals.NoStream, Events: []annals.Event{first, hostile, text}},
		annals.Append{Stream: BinaryStream, Expected: annals.NoStream, Events: []annals.Event{
			{Type: "file-uploaded", Source: "files", Time: f.at(990), ContentType: "application/octet-stream", Data: []byte("\x00\x01\xff\xfe\x89PNG\r\n\x1a\n")},
			{Type: "file-removed", Source: "files", Time: f.at(991)},
		}},
		annals.Append{Stream: ReversibleStream, Expected: annals.NoStream, Events: []annals.Event{
			{Type: "thing-made", Source: "shop", Time: f.at(992), Data: []byte(`{"total":1}`)},
			{Type: "thing-changed", Source: "shop", Time: f.at(993), Data: []byte(`{"total":2,"note":"x"}`)},
		}},
		annals.Append{Stream: "fragile-1", Expected: annals.NoStream, Events: []annals.Event{
			{Type: "fragile-sent", Source: "shop", Time: f.at(994), Data: []byte(`{"weight":3}`)},
			{Type: "fragile-broken", Source: "shop", Time: f.at(995), Data: []byte(`{"weight":"three"}`)},
			{Type: "fragile-sent", Source: "shop", Time: f.at(996), Data: []byte(`{"weight":4}`)},
		}},
		annals.Append{Stream: "fragile-2", Expected: annals.NoStream, Events: []annals.Event{
			{Type: "fragile-broken", Source: Script, Time: f.at(997), Data: []byte(`{"weight":"<script>alert(1)</script>"}`)},
		}},
	)
}
