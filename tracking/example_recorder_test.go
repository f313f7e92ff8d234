package tracking_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

// printed is a sink that prints; package tracking/sink has those for stores,
// queues and streams.
type printed struct{}

func (printed) Deliver(_ context.Context, events []annals.Event) error {
	for _, e := range events {
		fmt.Println(e.Type, e.Correlation, e.Source)
	}
	return nil
}

// A service that records its calls of another one.
func ExampleTransport() {
	recorder, err := tracking.NewRecorder(printed{}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	stock := httptest.NewServer(http.NotFoundHandler())
	defer stock.Close()
	calls := &http.Client{Transport: &tracking.Transport{
		Recorder: recorder, Source: "orders", Service: func(*http.Request) string { return "stock" },
	}}
	orders := tracking.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, stock.URL, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		resp, err := calls.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if err := resp.Body.Close(); err != nil {
			fmt.Println(err)
		}
	}), "orders", recorder, nil)

	r := httptest.NewRequest(http.MethodGet, "/orders/7", nil)
	r.Header.Set("X-Request-Id", "req-1")
	orders.ServeHTTP(httptest.NewRecorder(), r)
	if err := recorder.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// MICROSERVICE_REQUEST req-1 client
	// MICROSERVICE_REQUEST req-1 orders
	// MICROSERVICE_RESPONSE req-1 orders
	// MICROSERVICE_RESPONSE req-1 client
}
