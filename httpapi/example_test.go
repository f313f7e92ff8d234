package httpapi_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
)

func Example() {
	dir, err := os.MkdirTemp("", "annals")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := embedded.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	server := httptest.NewServer(httpapi.New(store, nil))
	defer server.Close()

	answer, err := http.Post(server.URL+"/v1/streams/order-7/events", "application/json", strings.NewReader(`{"type":"order-placed","data":{"total":12.5}}`))
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.StatusCode, string(text))
	// Output: 201 {"stream":"order-7","version":"1","position":"1","count":1,"replayed":false}
}
