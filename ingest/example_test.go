package ingest_test

import (
	"fmt"

	"github.com/eb901187/annals/ingest"
)

func Example() {
	m, err := ingest.Decode([]byte(`{"id":"7a3c","requestId":"req-1","timestamp":"2020-05-01T20:00:00Z",
		"type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"Microservice A","error":null}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Stream, m.Event.Type, string(m.Event.Data))
	// Output: req-1 MICROSERVICE_REQUEST {"Name":"Microservice A"}
}
