package view

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/eb901187/annals"
)

// tooLarge is an InvalidError that matches annals.ErrTooLarge.
func tooLarge(field, format string, args ...any) error {
	return &annals.InvalidError{Code: annals.CodeTooLarge, Violations: []annals.Violation{{Field: field, Message: fmt.Sprintf(format, args...)}}}
}

// CheckKey reports what is wrong with a document's key: it is 1 to MaxKeyBytes
// of UTF-8 without control characters.
func CheckKey(key string) error {
	if key == "" {
		return annals.Invalid("key", "must not be empty")
	}
	return checkText("key", key)
}

// checkText reports what is wrong with what may be a part of a key.
func checkText(field, text string) error {
	if len(text) > MaxKeyBytes {
		return tooLarge(field, "is %d bytes long, the limit is %d", len(text), MaxKeyBytes)
	}
	for i, r := range text {
		if r < ' ' || r >= 0x7f && (unicode.IsControl(r) || r == utf8.RuneError && !utf8.ValidString(text[i:])) {
			return annals.Invalid(field, "must be UTF-8 without control characters")
		}
	}
	return nil
}

// CheckSpace reports what is wrong with a space's name: it is 1 to MaxSpaceBytes
// of ASCII letters, digits and - _ . / @.
func CheckSpace(space string) error {
	if len(space) > MaxSpaceBytes {
		return tooLarge("space", "is %d bytes long, the limit is %d", len(space), MaxSpaceBytes)
	}
	bad := space == ""
	for i := range len(space) {
		bad = bad || !inSpace[space[i]]
	}
	if bad {
		return annals.Invalid("space", "must be 1 to %d ASCII letters, digits and - _ . / @", MaxSpaceBytes)
	}
	return nil
}

// inSpace are the bytes that a space's name may have.
var inSpace = func() (allowed [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./@" {
		allowed[c] = true
	}
	return allowed
}()

// Check reports what is wrong with a space's name and r, which Scan is given.
// Prefix and After hold what keys may hold, and may be empty.
func (r Range) Check(space string) error {
	if err := CheckSpace(space); err != nil {
		return err
	}
	if err := checkText("prefix", r.Prefix); err != nil {
		return err
	}
	if err := checkText("after", r.After); err != nil {
		return err
	}
	if r.Limit < 0 {
		return annals.Invalid("limit", "must not be negative")
	}
	return nil
}

// CheckKeys reports what is wrong with a space's name and keys, which Get is
// given.
func CheckKeys(space string, keys []string) error {
	if err := CheckSpace(space); err != nil {
		return err
	}
	for _, key := range keys {
		if err := CheckKey(key); err != nil {
			return err
		}
	}
	return nil
}

// Check reports what is wrong with c on its own: names, sizes, keys that stand
// in it twice. Every Store calls it first, and then CheckSize.
func (c *Change) Check() error {
	k := checker{kind: make(map[Key]kind, len(c.Put)+len(c.Delete)+len(c.Expect))}
	for i := range c.Expect {
		e := &c.Expect[i]
		if err := k.key(e.Key, expected); err != nil {
			return err
		}
		if e.Data != nil {
			if err := checkData("expectation of document ", e.Key.Key, e.Data); err != nil {
				return err
			}
		}
	}
	for i := range c.Put {
		p := &c.Put[i]
		if err := k.key(Key{p.Space, p.Key}, written); err != nil {
			return err
		}
		if err := checkData("document ", p.Key, p.Data); err != nil {
			return err
		}
		if p.Position < 0 {
			return annals.Invalid("position of document "+p.Key, "must not be negative")
		}
	}
	for _, d := range c.Delete {
		if err := k.key(d, written); err != nil {
			return err
		}
	}
	return nil
}

// CheckSize reports that c names more than limit documents, each counted once:
// the MaxChange of a Store. The error matches annals.ErrTooLarge.
func (c *Change) CheckSize(limit int) error {
	n := len(c.Put) + len(c.Delete)
	expected := make(map[Key]bool, len(c.Expect))
	for i := range c.Expect {
		expected[c.Expect[i].Key] = true
	}
	n += len(expected)
	for i := 0; i < len(c.Put) && len(expected) > 0; i++ {
		if expected[Key{c.Put[i].Space, c.Put[i].Key}] {
			n--
		}
	}
	for i := 0; i < len(c.Delete) && len(expected) > 0; i++ {
		if expected[c.Delete[i]] {
			n--
		}
	}
	if n > limit {
		return tooLarge("change", "has %d documents, the limit of this store is %d", n, limit)
	}
	return nil
}

// kind is how a change names a key, as bits.
type kind byte

const (
	expected kind = 1 << iota
	written
)

// checker follows the keys of one change.
type checker struct {
	kind  map[Key]kind
	space string // the last that was found good: most changes have few
}

func (k *checker) key(key Key, as kind) error {
	if key.Space != k.space || key.Space == "" {
		if err := CheckSpace(key.Space); err != nil {
			return err
		}
		k.space = key.Space
	}
	if err := CheckKey(key.Key); err != nil {
		return err
	}
	before := k.kind[key]
	switch {
	case before&as == 0:
		k.kind[key] = before | as
		return nil
	case as == expected:
		return annals.Invalid("change", "expects document %q of %s twice", key.Key, key.Space)
	}
	return annals.Invalid("change", "names document %q of %s twice", key.Key, key.Space)
}

func checkData(what, key string, data []byte) error {
	switch {
	case len(data) > MaxDocumentBytes:
		return tooLarge(what+key, "is %d bytes long, the limit is %d", len(data), MaxDocumentBytes)
	case len(data) == 0:
		return annals.Invalid(what+key, "must not be empty: nil stands for no document, and only where one is expected")
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return annals.Invalid(what+key, "must be JSON: UTF-8 without zero bytes")
	}
	return nil
}
