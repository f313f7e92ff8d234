package tracking

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// KindOf says of what kind err, of a call with ctx, is; empty for nil.
func KindOf(ctx context.Context, err error) ErrorKind {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded), errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return KindTimeout
	case errors.Is(err, context.Canceled), ctx.Err() != nil:
		return KindCanceled
	case errors.As(err, &dns):
		return KindDNS
	case errors.As(err, &timeout) && timeout.Timeout():
		return KindTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return KindRefused
	case isTLS(err):
		return KindTLS
	case errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "with Body length"): // net/http has no type for it
		return KindShortBody
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED),
		errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, http.ErrAbortHandler), closedByPeer(err.Error()):
		return KindReset
	}
	return KindOther
}

func isTLS(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(tls.RecordHeaderError)) ||
		errors.As(err, new(tls.AlertError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(x509.CertificateInvalidError)) ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// closedByPeer knows the errors of net/http that have no type.
func closedByPeer(text string) bool {
	for _, part := range []string{"server closed idle connection", "stream error:", "server sent GOAWAY"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
