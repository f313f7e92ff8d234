package subject

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/eb901187/annals"
)

// KeyBytes is the length of a subject's key, and of a local master key.
const KeyBytes = 32

// A Wrapper makes subjects' keys and wraps them by a master key that only it knows. It
// is safe for concurrent use.
type Wrapper interface {
	// Generate makes a key of KeyBytes bytes of chance for subject, and its wrapped
	// form.
	Generate(ctx context.Context, subject string) (key, wrapped []byte, err error)
	// Wrap is the wrapped form of a key for subject that another Wrapper generated.
	Wrap(ctx context.Context, subject string, key []byte) ([]byte, error)
	// Unwrap is the key of which Generate or Wrap made wrapped for this very subject. What is
	// not such is an error that matches annals.ErrDamaged.
	Unwrap(ctx context.Context, subject string, wrapped []byte) ([]byte, error)
	// Name says which master key it is, without giving it away.
	Name() string
}

type local struct {
	seal cipher.AEAD
	name string
}

// LocalWrapper makes a Wrapper by a master key of KeyBytes bytes in this process.
// It wraps by AES-256-GCM with a nonce of chance and the subject's name beside it: good
// for 2³² subjects. Error: *annals.InvalidError.
func LocalWrapper(master []byte) (Wrapper, error) {
	if len(master) != KeyBytes {
		return nil, annals.Invalid("master", "must have %d bytes, not %d", KeyBytes, len(master))
	}
	sealing, err := hkdf.Expand(sha256.New, master, "annals master 1 wrap", KeyBytes)
	if err != nil {
		return nil, err
	}
	sum, err := hkdf.Expand(sha256.New, master, "annals master 1 name", 8)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(sealing)
	return &local{aead, "local:" + hex.EncodeToString(sum)}, err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (l *local) Name() string { return l.name }

func (l *local) Generate(ctx context.Context, subject string) (key, wrapped []byte, err error) {
	key = make([]byte, KeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, nil, err
	}
	wrapped, err = l.Wrap(ctx, subject, key)
	return key, wrapped, err
}

func (l *local) Wrap(_ context.Context, subject string, key []byte) ([]byte, error) {
	nonce := make([]byte, l.seal.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return l.seal.Seal(nonce, nonce, key, []byte(subject)), nil
}

func (l *local) Unwrap(_ context.Context, subject string, wrapped []byte) ([]byte, error) {
	n := l.seal.NonceSize()
	if len(wrapped) < n {
		return nil, NotWrapped(l, fmt.Errorf("it has %d bytes", len(wrapped)))
	}
	key, err := l.seal.Open(nil, wrapped[:n], wrapped[n:], []byte(subject))
	if err != nil {
		return nil, NotWrapped(l, err)
	}
	return key, nil
}

// NotWrapped is the error of an Unwrap of what w did not make for this subject.
func NotWrapped(w Wrapper, cause error) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Err: cause, Message: "the key of a subject was not wrapped by the master key " + w.Name() + ", or is damaged",
		Hint: "name the keys that the store was used with, or put back the record from a copy",
	}
}
