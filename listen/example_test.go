package listen_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/eb901187/annals/listen"
)

func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	connections := listen.NewConnections(100)
	server := &http.Server{ConnContext: listen.ConnContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end, ok := listen.Begin(r.Context())
		if !ok {
			http.Error(w, "too many requests on this connection", http.StatusServiceUnavailable)
			return
		}
		defer end()
		fmt.Fprint(w, "connected: ", connections.Count())
	})}
	go func() { _ = server.Serve(connections.Limit(listener)) }()
	defer server.Close()
	answer, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	fmt.Println(string(text), err)
	// Output: connected: 1 <nil>
}
