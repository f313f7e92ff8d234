package listen

import (
	"crypto/tls"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/eb901187/annals"
)

// A Certificate is read from its files again when they change. One that can't be used is
// logged, and the one before it stays. It is safe for concurrent use.
type Certificate struct {
	cert, key string
	logger    *slog.Logger

	mu   sync.Mutex
	pair *tls.Certificate
	seen [2]fs.FileInfo // of the files when they were read; nil where there was none
}

// OpenCertificate reads a chain of certificates and the key of its first one, PEM files
// both. logger is told of trouble later on; nil is slog.Default(). Error: of
// annals.CodeInvalid if they can't be used; it holds nothing of the files.
func OpenCertificate(cert, key string, logger *slog.Logger) (*Certificate, error) {
	if logger == nil {
		logger = slog.Default()
	}
	c := &Certificate{cert: cert, key: key, logger: logger}
	_, err := c.get(nil)
	return c, err
}

// Config is for a server: TLS 1.2 and 1.3, with ciphers that encrypt and authenticate in
// one, and keys that nobody has afterwards.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		CipherSuites: []uint16{ // of TLS 1.2; all of 1.3 are such
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// get is tls.Config.GetCertificate.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found [2]fs.FileInfo
	for i, name := range []string{c.cert, c.key} {
		if info, err := os.Stat(name); err == nil {
			found[i] = info
		}
	}
	if c.pair != nil && isSame(found[0], c.seen[0]) && isSame(found[1], c.seen[1]) {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	switch {
	case err == nil:
		c.pair = &pair
	case c.pair == nil:
		return nil, &annals.Error{
			Code: annals.CodeInvalid, Message: "the certificate " + c.cert + " with the key " + c.key + " can't be used",
			Err: err, Hint: "both are PEM files, the key that of the first certificate",
		}
	default:
		c.logger.Error("the new certificate can't be used, the old one stays", "cert", c.cert, "key", c.key, "error", err)
	}
	c.seen = found
	return c.pair, nil
}

// isSame reports whether a file is the one that was seen, as it was: a time alone does
// not tell, where a file is written in the moment in which it is read.
func isSame(found, seen fs.FileInfo) bool {
	if found == nil || seen == nil {
		return found == seen
	}
	return os.SameFile(found, seen) && found.ModTime().Equal(seen.ModTime()) && found.Size() == seen.Size()
}
