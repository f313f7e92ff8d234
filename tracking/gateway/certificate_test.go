package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes one with a serial number, dated at.
func writeCertificate(t *testing.T, files TLS, serial int64, at time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	files := TLS{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	at := time.Now().Add(-time.Hour)
	writeCertificate(t, files, 1, at)
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
	writeCertificate(t, files, 2, at.Add(time.Minute))
	if n := serial(); n != 2 {
		t.Fatal(n)
	}
	if err := os.WriteFile(files.Key, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 || !strings.Contains(logged.text(), "the old one stays") {
		t.Fatalf("%d, %s", n, logged.text())
	}
	writeCertificate(t, files, 3, at.Add(time.Hour))
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
