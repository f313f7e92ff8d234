package gateway

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/listen/listentest"
)

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	at := time.Now().Add(-time.Hour)
	cert, key := listentest.Certificate(t, dir, 1, at)
	files := TLS{cert, key}
	var logged locked
	w := beginWith(t, one(named(t, "a"))+"tls: {cert: "+files.Cert+", key: "+files.Key+"}\n", nil, &Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	serial := func() int64 {
		t.Helper()
		client := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(w.url, "http:", "https:", 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
			t.Errorf("%s %s", answer.Proto, answer.Status)
		}
		return answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatal(n)
	}
	listentest.Certificate(t, dir, 2, at.Add(time.Minute))
	if n := serial(); n != 2 {
		t.Fatal(n)
	}
	if err := os.WriteFile(files.Key, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 || !strings.Contains(logged.text(), "the old one stays") {
		t.Fatalf("%d, %s", n, logged.text())
	}
	listentest.Certificate(t, dir, 3, at.Add(time.Hour))
	if n := serial(); n != 3 {
		t.Fatal(n)
	}
}

func TestCertificateThatIsNone(t *testing.T) {
	c := &Config{TLS: &TLS{"none.pem", "none.pem"}}
	for _, err := range []error{c.CheckFiles(), func() error { _, err := New(c, nil, nil); return err }()} {
		if err == nil || !strings.Contains(err.Error(), "the certificate none.pem") {
			t.Error(err)
		}
	}
}
