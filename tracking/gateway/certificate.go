package gateway

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/eb901187/annals"
)

// A certificate is read from its files again when they change. A new one that
// can't be read is logged, and the old one stays.
type certificate struct {
	files  TLS
	logger *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed [2]time.Time // of the files when they were read
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var changed [2]time.Time
	for i, name := range []string{c.files.Cert, c.files.Key} {
		if info, err := os.Stat(name); err == nil {
			changed[i] = info.ModTime()
		}
	}
	if c.pair != nil && changed == c.changed {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	switch {
	case err == nil:
		c.pair = &pair
	case c.pair == nil:
		return nil, &annals.Error{
			Code: annals.CodeInvalid, Message: "the certificate tls.cert " + c.files.Cert + " with tls.key " + c.files.Key + " can't be used",
			Err: err, Hint: "both are PEM files, the key that of the first certificate",
		}
	default:
		c.logger.Error("the new certificate can't be used, the old one stays", "cert", c.files.Cert, "key", c.files.Key, "error", err)
	}
	c.changed = changed
	return c.pair, nil
}

// CheckFiles reads the certificate that c names; it is an error of code invalid if
// it can't be used.
func (c *Config) CheckFiles() error {
	if c.TLS == nil {
		return nil
	}
	_, err := (&certificate{files: *c.TLS}).get(nil)
	return err
}
