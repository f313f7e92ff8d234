package listentest_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/eb901187/annals/listen/listentest"
)

// A test of a server with TLS makes its certificate itself.
func Example() {
	testTLS := func(t *testing.T) {
		cert, key := listentest.Certificate(t, t.TempDir(), 1, time.Now())
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			t.Fatal(err)
		}
	}
	_ = testTLS
}
