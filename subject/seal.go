package subject

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
)

const (
	sealedForm = 1 // the first byte of sealed data
	nonceBytes = 12
	headBytes  = 1 + nonceBytes
)

// A dataKey is a subject's key, ready for use.
type dataKey struct {
	seal        cipher.AEAD
	nonces      []byte // key of the HMAC that makes nonces
	fingerprint string
}

func newDataKey(key []byte) (*dataKey, error) {
	if len(key) != KeyBytes {
		return nil, fmt.Errorf("the key of a subject has %d bytes, not %d", len(key), KeyBytes)
	}
	derived := func(what string, n int) []byte {
		b, err := hkdf.Expand(sha256.New, key, "annals subject 1 "+what, n)
		if err != nil {
			panic(fmt.Sprintf("subject: %v", err)) // only for lengths beyond 8,160 bytes
		}
		return b
	}
	aead, err := newAEAD(derived("seal", KeyBytes))
	return &dataKey{aead, derived("nonce", KeyBytes), hex.EncodeToString(derived("fingerprint", 8))}, err
}

// names are the fields to which sealed data is bound.
func names(stream string, e *annals.Event) []byte {
	b := make([]byte, 0, 32+len(stream)+len(e.ID)+len(e.Type)+len(e.Subject()))
	b = append(b, "annals sealed 1\n"...)
	for _, s := range [...]string{stream, e.ID, e.Type, e.Subject()} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// sealed is the sealed form of e's data, as an event of stream.
func (k *dataKey) sealed(stream string, e *annals.Event) []byte {
	contentType := e.ContentType
	if contentType == "" {
		contentType = annals.JSONContentType
	}
	bound := names(stream, e)
	head := binary.AppendUvarint(nil, uint64(len(contentType)))
	head = append(head, contentType...)
	mac := hmac.New(sha256.New, k.nonces)
	mac.Write(bound) // its end is known from its lengths
	mac.Write(head)
	mac.Write(e.Data)
	nonce := mac.Sum(nil)[:nonceBytes]
	out := make([]byte, 0, headBytes+len(head)+len(e.Data)+k.seal.Overhead())
	out = append(append(out, sealedForm), nonce...)
	plain := append(out[headBytes:], head...)
	plain = append(plain, e.Data...)
	return k.seal.Seal(out, nonce, plain, bound) // in place: plain begins where its result does
}

var errNotSealed = errors.New("it is not what was sealed for this event")

// open is the content type and the data of which sealed made e's.
func (k *dataKey) open(e *annals.Event) (contentType string, data []byte, err error) {
	if len(e.Data) < headBytes || e.Data[0] != sealedForm {
		return "", nil, errNotSealed
	}
	plain, err := k.seal.Open(nil, e.Data[1:headBytes], e.Data[headBytes:], names(e.Stream, e))
	if err != nil {
		return "", nil, errNotSealed
	}
	n, size := binary.Uvarint(plain)
	if size <= 0 || n > uint64(len(plain)-size) {
		return "", nil, errNotSealed
	}
	end := size + int(n)
	if end < len(plain) {
		data = plain[end:]
	}
	return string(plain[size:end]), data, nil
}
