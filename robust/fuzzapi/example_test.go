package fuzzapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/eb901187/annals/robust/fuzzapi"
)

const described = `{"openapi": "3.1.0",
  "paths": {"/v1/position": {"get": {"operationId": "position", "responses": {"200": {"content": {"application/json": {"schema": {
    "type": "object", "required": ["position"], "properties": {"position": {"type": "string"}}}}}}}}}},
  "components": {"schemas": {"Event": {}, "Problem": {}}}}`

// A server says that positions are texts, and answers with a number.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"position": 7}`)
	}))
	defer server.Close()
	document, err := fuzzapi.Parse([]byte(described))
	if err != nil {
		fmt.Println(err)
		return
	}
	campaign := fuzzapi.Campaign{Document: document, URL: server.URL, Client: server.Client(), Seed: 1, Requests: 10, Patience: time.Second, Limit: time.Minute}
	report, err := campaign.Run(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Requests, "answers,", len(report.Findings) > 0, report.Findings[0].Operation)
	// Output: 10 answers, true position
}
