package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/listen"
)

// caVariable names a file as --ca does.
const caVariable = "ANNALS_CA"

// tlsFlags are the files of a server's certificate; both are empty without encryption.
type tlsFlags struct{ cert, key string }

func (f *tlsFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.cert, "tls-cert", "", "PEM file of the server's certificate, and those that vouch for it; read again when it changes")
	c.Flags().StringVar(&f.key, "tls-key", "", "PEM file of the certificate's key")
}

// check refuses half of a certificate.
func (f *tlsFlags) check() error {
	if (f.cert == "") != (f.key == "") {
		return usage("--tls-cert and --tls-key go together", "give both, or neither")
	}
	return nil
}

func (f *tlsFlags) scheme() string {
	if f.cert != "" {
		return "https"
	}
	return "http"
}

// asks reports whether the server asks for tokens.
func (s *service) asks() bool { return s.tokens != "" || s.oidc.issuer != "" }

// fitFor refuses to reach beyond this machine without encryption, or with everybody let
// in.
func (s *service) fitFor(address string) error {
	lacks, give := "", ""
	switch encrypted := s.tls.cert != ""; {
	case !encrypted && !s.asks():
		lacks, give = "neither encryption nor authentication", "--tls-cert and --tls-key with --tokens or --oidc-issuer"
	case !encrypted:
		lacks, give = "no encryption, so that tokens could be read on their way", "--tls-cert and --tls-key"
	case !s.asks():
		lacks, give = "encryption but no authentication", "--tokens or --oidc-issuer"
	default:
		return nil
	}
	return usage("--listen "+address+" reaches beyond this machine, and the server has "+lacks,
		"give "+give+", put a proxy that has what is missing in front of "+defaultListen+", or add --insecure")
}

// server is what answers with h, within the limits and with the certificate of s.
func (a *app) server(s *service, h http.Handler) (*http.Server, error) {
	server := &http.Server{
		Handler: counted(h), ConnContext: connContext,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelWarn),
	}
	if s.tls.cert == "" {
		return server, nil
	}
	certificate, err := listen.OpenCertificate(s.tls.cert, s.tls.key, a.logger)
	if err == nil {
		server.TLSConfig = certificate.Config()
	}
	return server, err
}

// serve takes calls until the server is shut down.
func (s *service) serve(server *http.Server, listener net.Listener) error {
	listener = listen.NewConnections(s.limits.connections).Limit(listener)
	if server.TLSConfig != nil {
		return server.ServeTLS(listener, "", "")
	}
	return server.Serve(listener)
}

// connContext says where the requests of a connection come from.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err == nil {
		ctx = access.WithAddress(ctx, host)
	}
	return listen.ConnContext(ctx, conn)
}

// counted has the connection of each request count as used while it is answered. Answers
// that are neither the API's nor the console's have headers from here.
func counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpapi.SetSecurityHeaders(w.Header())
		end, ok := listen.Begin(r.Context())
		if !ok {
			p := httpapi.NewProblem(&annals.Error{Code: annals.CodeOverloaded, Message: "as many requests are under way as there may be connections"})
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(p.Status)
			_ = json.NewEncoder(w).Encode(p) // a client that is gone can't be told
			return
		}
		defer end()
		h.ServeHTTP(w, r)
	})
}

// authorities are those that may vouch for an https:// server; nil for the system's.
func (a *app) authorities() (*x509.CertPool, error) {
	where, file := "--ca", a.ca
	if file == "" {
		where, file = caVariable, os.Getenv(caVariable)
	}
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("the file of "+where+" can't be read: "+err.Error(), "name a PEM file of certificates")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, usage(file+", which "+where+" names, holds no certificate", "name a PEM file of certificates")
	}
	return roots, nil
}
