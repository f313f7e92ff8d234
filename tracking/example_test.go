package tracking_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

func Example() {
	at := time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC)
	trace := tracking.New("req-1", []annals.Event{
		{Type: tracking.RequestType, Time: at, Data: []byte(`{"Name":"Microservice A"}`)},
		{Type: tracking.ResponseType, Time: at.Add(90 * time.Millisecond), Data: []byte(`{"Name":"Microservice A","status":503}`)},
	}, at.Add(time.Second))
	for _, call := range trace.Calls {
		fmt.Println(call.Service, call.Status, call.Duration)
	}
	fmt.Println("at fault:", trace.Faulty)
	// Output:
	// Microservice A 503 90ms
	// at fault: Microservice A
}

func ExampleTrace_Walk() {
	at := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	event := func(typ string, ms int, data string) annals.Event {
		return annals.Event{Type: typ, Time: at.Add(time.Duration(ms) * time.Millisecond), Data: []byte(data)}
	}
	trace := tracking.New("req-1", []annals.Event{
		event(tracking.RequestType, 0, `{"Name":"shop","callId":"1"}`),
		event(tracking.RequestType, 5, `{"Name":"orders","callId":"2","parentId":"1"}`),
		event(tracking.ResponseType, 80, `{"Name":"orders","callId":"2","parentId":"1","status":503}`),
		event(tracking.ResponseType, 90, `{"Name":"shop","callId":"1","status":502}`),
	}, at.Add(time.Second))
	for call := range trace.Walk() {
		fmt.Printf("%s%s %d\n", strings.Repeat("  ", call.Depth), call.Service, call.Status)
	}
	fmt.Println("at fault:", trace.Faulty)
	// Output:
	// shop 502
	//   orders 503
	// at fault: orders
}
