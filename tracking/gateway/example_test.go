package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/eb901187/annals/tracking/gateway"
)

func Example() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "this is ", r.URL.Path)
	}))
	defer service.Close()
	config, err := gateway.Parse("gateway.yaml", []byte(`
record: {to: none}
services: {orders: {to: `+service.URL+`}}
routes: [{path: /shop, strip: true, service: orders}]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := gateway.New(config, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	server := httptest.NewServer(g)
	defer server.Close()
	for _, path := range []string{"/shop/orders/7", "/carts"} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		text, err := io.ReadAll(answer.Body)
		fmt.Println(answer.StatusCode, len(text) > 30 || string(text) == "this is /orders/7", err)
		_ = answer.Body.Close()
	}
	// Output:
	// 200 true <nil>
	// 404 true <nil>
}

func ExampleParse() {
	_, err := gateway.Parse("gateway.yaml", []byte("record: {to: none}\nservices: {a: {to: http://h}}\nroutes: [{service: b}]\n"))
	fmt.Println(err)
	// Output: annals: gateway.yaml:3: routes.service "b" is not in services (mend the file; docs/gateway.md lists the keys)
}
