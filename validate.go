package annals

import (
	"fmt"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits, each checked before anything is written. Lengths are in bytes.
const (
	MaxStreamBytes      = 256
	MaxTypeBytes        = 256
	MaxSourceBytes      = 512
	MaxIDBytes          = 256 // ids and correlations
	MaxAttributes       = 32
	MaxAttributeBytes   = 1024 // an attribute's value
	MaxAttributeName    = 32   // letters of an attribute's name
	MaxDataBytes        = 1 << 20
	MaxCommitEvents     = 1000
	MaxCommitBytes      = 4 << 20 // all events of a commit, with every field
	MaxSealBytes        = 512     // what a Sealer may add to an event's data, beyond the other limits
	maxContentTypeBytes = 256
)

// CheckStream reports what is wrong with a stream's name: 1 to MaxStreamBytes
// of ASCII letters, digits and - _ . : / @ + = ~ $ in segments between slashes
// that are neither empty nor "." nor "..".
func CheckStream(name string) error {
	var v violations
	v.stream("stream", name)
	return v.err()
}

// ParseCausation splits "stream@version".
func ParseCausation(s string) (stream string, version int64, err error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return "", 0, Invalid("causation", "must be stream@version")
	}
	version, err = strconv.ParseInt(s[i+1:], 10, 64)
	if err != nil || version < 1 || s[i+1:] != strconv.FormatInt(version, 10) {
		return "", 0, Invalid("causation", "must end in @ and a version from 1")
	}
	if err := CheckStream(s[:i]); err != nil {
		return "", 0, err
	}
	return s[:i], version, nil
}

// violations gathers broken rules; its code is that of the first.
type violations struct {
	list []Violation
	code Code
}

func (v *violations) add(code Code, field, format string, args ...any) {
	if len(v.list) == 0 {
		v.code = code
	}
	const enough = 20
	if len(v.list) < enough {
		v.list = append(v.list, Violation{field, fmt.Sprintf(format, args...)})
	}
}

func (v *violations) when(bad bool, field, message string) {
	if bad {
		v.add(CodeInvalid, field, "%s", message)
	}
}

func (v *violations) err() error {
	if len(v.list) == 0 {
		return nil
	}
	return &InvalidError{Code: v.code, Violations: v.list}
}

// name checks s, of the member called member in field, which may be empty.
func (v *violations) name(field, member, s string, limit int, ok func(rune) bool) {
	if nameFits(s, limit, ok) {
		return
	}
	if field != "" {
		member = field + "." + member
	}
	v.badName(member, s, limit, ok)
}

func nameFits(s string, limit int, ok func(rune) bool) bool {
	if s == "" || len(s) > limit || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for _, r := range s {
		if !ok(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

func (v *violations) badName(field, s string, limit int, ok func(rune) bool) {
	switch {
	case s == "":
		v.add(CodeInvalid, field, "must not be empty")
	case len(s) > limit:
		v.add(CodeTooLarge, field, "is %d bytes long, the limit is %d", len(s), limit)
	default:
		for _, r := range s {
			if r == utf8.RuneError {
				v.add(CodeInvalid, field, "is not valid UTF-8")
				return
			}
			if !ok(r) {
				v.add(CodeInvalid, field, "must not hold %q", r)
				return
			}
		}
		v.add(CodeInvalid, field, "must not start or end in a space")
	}
}

func (v *violations) stream(field, s string) {
	before := len(v.list)
	v.name("", field, s, MaxStreamBytes, streamRune)
	if len(v.list) > before || !strings.ContainsAny(s, "/.") {
		return
	}
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "" || segment == "." || segment == ".." {
			v.add(CodeInvalid, field, "must not hold an empty, . or .. segment")
			return
		}
	}
}

func (v *violations) event(field string, e *Event) {
	v.name(field, "id", e.ID, MaxIDBytes, printable)
	v.name(field, "type", e.Type, MaxTypeBytes, typeRune)
	v.name(field, "source", e.Source, MaxSourceBytes, sourceRune)
	if e.Correlation != "" {
		v.name(field, "correlation", e.Correlation, MaxIDBytes, printable)
	}
	if e.Causation != "" {
		if _, _, err := ParseCausation(e.Causation); err != nil {
			v.when(true, field+".causation", "must be stream@version, for example order-7@3")
		}
	}
	if e.Time.Before(minTime) || !e.Time.Before(maxTime) {
		v.add(CodeInvalid, field+".time", "must be within the years 1 to 9999")
	}
	if len(e.Attributes) > 0 {
		v.attributes(field+".attributes", e.Attributes)
	}
	v.data(field, e)
}

var (
	minTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

func (v *violations) attributes(field string, attributes map[string]string) {
	if len(attributes) > MaxAttributes {
		v.add(CodeTooLarge, field, "are %d, the limit is %d", len(attributes), MaxAttributes)
		return
	}
	for name, value := range attributes {
		switch {
		case !attributeName(name) || reserved[name]:
			v.add(CodeInvalid, field, "has the name %.40q: it must be 1 to %d of a-z and 0-9 and not one of CloudEvents' or of Annals' own", name, MaxAttributeName)
		case len(value) > MaxAttributeBytes:
			v.add(CodeTooLarge, field+"."+name, "is %d bytes long, the limit is %d", len(value), MaxAttributeBytes)
		case name == SubjectAttribute && value == "":
			v.add(CodeInvalid, field+"."+name, "must name the data subject, or be left out")
		case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
			v.add(CodeInvalid, field+"."+name, "must be UTF-8 without control characters")
		}
	}
}

func (v *violations) data(field string, e *Event) {
	limit := MaxDataBytes
	switch e.ContentType {
	case SealedContentType:
		limit += MaxSealBytes
		v.when(len(e.Data) == 0, field+".data", "must not be empty, as it is sealed")
		v.when(e.Subject() == "", field+".attributes."+SubjectAttribute, "must name the data subject, as the data is sealed")
	case ErasedContentType:
		v.when(len(e.Data) > 0, field+".data", "must be empty, as it was erased")
		v.when(e.Subject() == "", field+".attributes."+SubjectAttribute, "must name the data subject, as the data was erased")
	}
	if len(e.Data) > limit {
		v.add(CodeTooLarge, field+".data", "is %d bytes long, the limit is %d", len(e.Data), limit)
		return
	}
	if e.ContentType != JSONContentType {
		_, _, err := mime.ParseMediaType(e.ContentType)
		if err != nil || len(e.ContentType) > maxContentTypeBytes || strings.ContainsFunc(e.ContentType, notPrintableASCII) || !strings.Contains(e.ContentType, "/") {
			v.add(CodeInvalid, field+".contentType", "must be a media type of at most %d bytes", maxContentTypeBytes)
			return
		}
	}
	if len(e.Data) > 0 && e.IsJSON() {
		if err := CheckJSON(e.Data); err != nil {
			v.add(CodeInvalidJSON, field+".data", "is not strict JSON: %s", err.(*JSONError).detail())
		}
	}
}

// IsJSON reports whether the event's content type says that Data is JSON:
// application/json, none, or one that ends in +json.
func (e *Event) IsJSON() bool {
	if e.ContentType == "" || e.ContentType == JSONContentType {
		return true
	}
	media, _, err := mime.ParseMediaType(e.ContentType)
	return err == nil && (media == JSONContentType || strings.HasSuffix(media, "+json"))
}

// CheckAppend reports what Append refuses of events for a stream whatever the stream
// holds: *InvalidError. What a store fills in may be missing. It looks at no store, and
// so neither at versions nor at ids that are taken.
func CheckAppend(stream string, events ...Event) error {
	return commitErr(stream, Any, New(nil, nil).stamp(events))
}

func commitErr(stream string, expected int64, events []Event) error {
	var v violations
	v.stream("stream", stream)
	v.when(expected < Any, "expected", "must be Any, NoStream or a version")
	v.when(len(events) == 0, "events", "must not be empty")
	if len(events) > MaxCommitEvents {
		v.add(CodeTooLarge, "events", "must be at most %[2]d in a commit, not %[1]d", len(events), MaxCommitEvents)
		return v.err()
	}
	total := 0
	for i := range events {
		total += events[i].size()
		v.event(eventField(i, len(events)), &events[i])
	}
	if total > MaxCommitBytes {
		v.add(CodeTooLarge, "events", "must take at most %[2]d bytes in a commit, not %[1]d", total, MaxCommitBytes)
	}
	v.repeatedIDs(events)
	return v.err()
}

func (e *Event) size() int {
	n := len(e.ID) + len(e.Type) + len(e.Source) + len(e.Correlation) + len(e.Causation) + len(e.ContentType) + len(e.Data)
	for name, value := range e.Attributes {
		n += len(name) + len(value)
	}
	if e.ContentType == SealedContentType {
		n = max(0, n-MaxSealBytes) // limits are those of what was sealed
	}
	return n
}

func eventField(i, n int) string {
	if n == 1 {
		return "event"
	}
	return "events[" + strconv.Itoa(i) + "]"
}

func (v *violations) repeatedIDs(events []Event) {
	if len(events) < 2 {
		return
	}
	seen := make(map[string]int, len(events))
	for i := range events {
		if first, ok := seen[events[i].ID]; ok {
			v.add(CodeInvalid, eventField(i, len(events))+".id", "repeats that of events[%d]", first)
			return
		}
		seen[events[i].ID] = i
	}
}

// An alphabet is a set of ASCII characters.
type alphabet [2]uint64

func newAlphabet(others string) (a alphabet) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + others {
		a[c/64] |= 1 << (c % 64)
	}
	return a
}

func (a *alphabet) has(r rune) bool { return uint32(r) < 128 && a[r/64]&(1<<(r%64)) != 0 }

var (
	streamAlphabet = newAlphabet("-_.:/@+=~$")
	typeAlphabet   = newAlphabet("-_.:/@+")
)

func streamRune(r rune) bool { return streamAlphabet.has(r) }
func typeRune(r rune) bool   { return typeAlphabet.has(r) }
func printable(r rune) bool  { return 0x20 <= r && r < 0x7f || r > 0x7f && unicode.IsPrint(r) }

// sourceRune leaves out the comma, which separates sources in queries.
func sourceRune(r rune) bool { return r != ',' && printable(r) }

func notPrintableASCII(r rune) bool { return r < 0x20 || r >= 0x7f }

func attributeName(s string) bool {
	if s == "" || len(s) > MaxAttributeName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
