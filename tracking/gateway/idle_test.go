package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// http2Client speaks HTTP/2 without encryption.
func http2Client(t *testing.T) *http.Transport {
	client := transport(t)
	client.Protocols = new(http.Protocols)
	client.Protocols.SetUnencryptedHTTP2(true)
	return client
}

// An answer that goes on for longer than idle is whole as long as it goes on, also
// where the request's body was none, or was read before the first try.
func TestAnswersOutlastIdle(t *testing.T) {
	const idle, events = time.Second, 15
	service := serviceAt(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		ticker := time.NewTicker(idle / 10)
		defer ticker.Stop()
		for i := range events {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-ticker.C
		}
	})
	for name, c := range map[string]struct {
		client       *http.Transport
		method, body string
		limits       string
	}{
		"HTTP/1.1":                        {transport(t), http.MethodGet, "", ""},
		"HTTP/1.1 with a limit of bodies": {transport(t), http.MethodGet, "", "limits: {body: 1MiB}\n"},
		"HTTP/1.1 after a body":           {transport(t), http.MethodPut, "text", ""},
		"HTTP/2":                          {http2Client(t), http.MethodGet, "", ""},
		"HTTP/2 with a limit of bodies":   {http2Client(t), http.MethodGet, "", "limits: {body: 1MiB}\n"},
		"HTTP/2 after a body":             {http2Client(t), http.MethodPut, "text", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, one(service)+c.limits+"timeouts: {idle: "+idle.String()+"}\n")
			request, err := http.NewRequestWithContext(t.Context(), c.method, w.url, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.client.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(answer.Body)
			if n := strings.Count(string(text), "data:"); err != nil || n != events {
				t.Errorf("%d events came, %v", n, err)
			}
			if m := responses(w.recorded(t, 2))[0]; m.Error != "" {
				t.Errorf("%+v", m)
			}
		})
	}
}
