package tracking_test

import (
	"fmt"
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
