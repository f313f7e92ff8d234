package annals

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxJSONDepth is how deep arrays and objects may nest.
const MaxJSONDepth = 128

// MaxJSONDigits is how many significant digits a number may have: what
// DynamoDB's numbers hold, and more than any reader keeps without care.
const MaxJSONDigits = 38

// A JSONError says where a text stops being strict JSON.
type JSONError struct {
	Offset  int // in bytes, from 0
	Message string
}

func (e *JSONError) detail() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.Message) }

func (e *JSONError) Error() string        { return "annals: invalid JSON " + e.detail() }
func (e *JSONError) Is(target error) bool { return target == ErrInvalidJSON }

// ErrorCode is CodeInvalidJSON.
func (e *JSONError) ErrorCode() Code { return CodeInvalidJSON }

// CheckJSON reports whether text is one JSON value that every reader reads the
// same: RFC 8259, valid UTF-8, no lone surrogate, no key twice in an object,
// at most MaxJSONDepth deep, numbers of at most MaxJSONDigits significant
// digits within the range of a float64. The error is a *JSONError.
//
// encoding/json keeps the last of two equal keys and replaces invalid UTF-8, so
// that an audit and a projection could read different facts from one event.
func CheckJSON(text []byte) error { return checkJSON(text, MaxJSONDepth) }

// CheckEnvelope is CheckJSON for a text that wraps data in an object, or in an
// array of objects: it may nest two levels deeper than the data, which is checked
// by itself when it is appended.
func CheckEnvelope(text []byte) error { return checkJSON(text, maxEnvelopeDepth) }

const maxEnvelopeDepth = MaxJSONDepth + 2

func checkJSON(text []byte, depth int) error {
	if !utf8.Valid(text) {
		return &JSONError{invalidUTF8(text), "invalid UTF-8"}
	}
	s := scanners.Get().(*jsonScanner)
	defer s.release()
	s.text, s.depth = text, depth
	s.space()
	if !s.value(0) {
		return s.err
	}
	s.space()
	if s.at < len(text) {
		return &JSONError{s.at, "text after the value"}
	}
	return nil
}

func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}

type jsonScanner struct {
	text  []byte
	at    int
	depth int      // that arrays and objects may have
	keys  [][]byte // of the objects that are open, innermost last
	err   *JSONError
}

var scanners = sync.Pool{New: func() any { return new(jsonScanner) }}

// release keeps only the room for keys.
func (s *jsonScanner) release() {
	const keep = 64
	keys := s.keys[:cap(s.keys)]
	if len(keys) > keep {
		keys = nil
	}
	clear(keys)
	*s = jsonScanner{keys: keys[:0]}
	scanners.Put(s)
}

func (s *jsonScanner) fail(message string) bool {
	if s.err == nil {
		s.err = &JSONError{min(s.at, len(s.text)), message}
	}
	return false
}

func (s *jsonScanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *jsonScanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *jsonScanner) value(depth int) bool {
	switch c := s.peek(); {
	case c == '"':
		_, _, ok := s.str()
		return ok
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case s.at >= len(s.text):
		return s.fail("unexpected end")
	}
	return s.fail("a value must start here")
}

func (s *jsonScanner) word(w string) bool {
	if !bytes.HasPrefix(s.text[s.at:], []byte(w)) {
		return s.fail("a value must start here")
	}
	s.at += len(w)
	return true
}

func (s *jsonScanner) array(depth int) bool {
	if depth > s.depth {
		return s.fail("nested deeper than " + strconv.Itoa(s.depth))
	}
	s.at++
	s.space()
	if s.peek() == ']' {
		s.at++
		return true
	}
	for {
		if !s.value(depth) {
			return false
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case ']':
			s.at++
			return true
		default:
			return s.fail("expected , or ]")
		}
	}
}

func (s *jsonScanner) object(depth int) bool {
	if depth > s.depth {
		return s.fail("nested deeper than " + strconv.Itoa(s.depth))
	}
	base := len(s.keys)
	var many map[string]struct{}
	s.at++
	s.space()
	if s.peek() == '}' {
		s.at++
		return true
	}
	for {
		if s.peek() != '"' {
			return s.fail("expected a key")
		}
		start := s.at
		key, escaped, ok := s.str()
		if !ok {
			return false
		}
		if escaped {
			key = unescape(key)
		}
		if many, ok = s.newKey(base, many, key); !ok {
			s.at = start
			return s.fail(fmt.Sprintf("the key %.40q stands twice", key))
		}
		s.space()
		if s.peek() != ':' {
			return s.fail("expected :")
		}
		s.at++
		s.space()
		if !s.value(depth) {
			return false
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case '}':
			s.at++
			s.keys = s.keys[:base]
			return true
		default:
			return s.fail("expected , or }")
		}
	}
}

// newKey adds key to those of the open object, which start at base. Few keys
// are compared one by one, which needs no memory; many go to a map.
func (s *jsonScanner) newKey(base int, many map[string]struct{}, key []byte) (map[string]struct{}, bool) {
	const few = 16
	if many == nil {
		for _, other := range s.keys[base:] {
			if bytes.Equal(key, other) {
				return nil, false
			}
		}
		if len(s.keys)-base < few {
			s.keys = append(s.keys, key)
			return nil, true
		}
		many = make(map[string]struct{}, 2*few)
		for _, other := range s.keys[base:] {
			many[string(other)] = struct{}{}
		}
	}
	if _, ok := many[string(key)]; ok {
		return many, false
	}
	many[string(key)] = struct{}{}
	return many, true
}

// plain are the bytes that stand for themselves in a string.
var plain = func() (set [256]bool) {
	for c := range set {
		set[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return set
}()

// str reads a string and returns what stands between its quotes.
func (s *jsonScanner) str() (raw []byte, escaped, ok bool) {
	s.at++
	start := s.at
	for s.at < len(s.text) {
		at := s.at // in a register
		for at < len(s.text) && plain[s.text[at]] {
			at++
		}
		s.at = at
		switch c := s.peek(); {
		case s.at == len(s.text):
		case c == '"':
			s.at++
			return s.text[start : s.at-1], escaped, true
		case c == '\\':
			escaped = true
			if !s.escape() {
				return nil, false, false
			}
		default:
			return nil, false, s.fail("control character in a string")
		}
	}
	return nil, false, s.fail("string without an end")
}

func (s *jsonScanner) escape() bool {
	if s.at+1 >= len(s.text) {
		return s.fail("string without an end")
	}
	switch s.text[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return true
	case 'u':
		r, ok := hex4(s.text, s.at+2)
		if !ok {
			return s.fail(`\u needs four hexadecimal digits`)
		}
		if !utf16.IsSurrogate(r) {
			s.at += 6
			return true
		}
		low, ok := rune(0), false
		if bytes.HasPrefix(s.text[s.at+6:], []byte(`\u`)) {
			low, ok = hex4(s.text, s.at+8)
		}
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return s.fail("lone surrogate")
		}
		s.at += 12
		return true
	}
	return s.fail("unknown escape")
}

func hex4(text []byte, at int) (rune, bool) {
	if at+4 > len(text) {
		return 0, false
	}
	var r rune
	for _, c := range text[at : at+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape resolves the escapes of a string that str has passed.
func unescape(raw []byte) []byte {
	var simple = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if raw[i] != 'u' {
			out = append(out, simple[raw[i]])
			continue
		}
		r, _ := hex4(raw, i+1)
		i += 4
		if utf16.IsSurrogate(r) {
			low, _ := hex4(raw, i+3)
			r = utf16.DecodeRune(r, low)
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

func (s *jsonScanner) digits() int {
	start := s.at
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at - start
}

func (s *jsonScanner) number() bool {
	start := s.at
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if s.digits() == 0 {
		return s.fail("expected a digit")
	}
	if s.peek() == '.' {
		s.at++
		if s.digits() == 0 {
			return s.fail("expected a digit")
		}
	}
	mantissa := s.text[start:s.at]
	exponent := s.peek() == 'e' || s.peek() == 'E'
	if exponent {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if s.digits() == 0 {
			return s.fail("expected a digit")
		}
	}
	literal := s.text[start:s.at]
	if len(mantissa) > MaxJSONDigits && significant(mantissa) > MaxJSONDigits {
		s.at = start
		return s.fail("number of more than " + strconv.Itoa(MaxJSONDigits) + " significant digits")
	}
	// Without an exponent only a literal of some 300 digits leaves the range.
	if exponent || len(literal) > 300 {
		if _, err := strconv.ParseFloat(string(literal), 64); err != nil {
			s.at = start
			return s.fail("number out of range")
		}
	}
	return true
}

func significant(mantissa []byte) int {
	digits := bytes.TrimLeft(mantissa, "-0.")
	return len(digits) - bytes.Count(digits, []byte{'.'})
}
