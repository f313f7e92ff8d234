package effect

import (
	"encoding/json"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ohler55/ojg/jp"

	"github.com/eb901187/annals"
)

// Redacted stands in the journal for what Redaction leaves out.
const Redacted = "[redacted]"

// Redaction says what of requests, answers and error texts never reaches the
// journal, beside what is left out by default:
//
//   - the headers Authorization, Proxy-Authorization, Cookie and Set-Cookie, and all
//     whose names hold token, secret, password, api-key or signature;
//   - the user information of URLs, and the query parameters, form fields and
//     members of JSON objects that are named like password, secret, token,
//     access_token, api_key, private_key, cvc or signature, in whatever case and with
//     or without - and _;
//   - in text, what follows such a name, and Bearer and Basic credentials; in XML, the
//     text of elements with such a name;
//   - whatever of that a request carried, wherever its answer or its error repeats it.
//
// A string is replaced by Redacted and a number by null; objects and arrays keep
// their shape. What an answer had there is gone in a replay too. A secret that has
// no such name, as one in the path of a URL, is kept.
type Redaction struct {
	// Headers are further names of headers, in any case.
	Headers []string
	// Paths are JSON paths of values in JSON bodies and in what Do is given and
	// returns, such as $.card.number and $..iban, as ojg/jp reads them: names,
	// indexes, slices, wildcards, filters and descendants as in RFC 9535.
	Paths []string
	// Query are further names of query parameters and form fields.
	Query []string
	// None leaves out only what the other fields name.
	None bool
}

// Check reports what is wrong with r; New does so too.
func (r Redaction) Check() error {
	_, err := r.compile()
	return err
}

// A redactor is a Redaction that is ready for use, and safe for concurrent use.
type redactor struct {
	headers map[string]bool // canonical names
	query   map[string]bool // normal names
	paths   []jp.Expr
	none    bool
}

func (r Redaction) compile() (*redactor, error) {
	c := &redactor{headers: map[string]bool{}, query: map[string]bool{}, none: r.None}
	for _, name := range r.Headers {
		c.headers[textproto.CanonicalMIMEHeaderKey(name)] = true
	}
	for _, name := range r.Query {
		c.query[normal(name)] = true
	}
	for _, path := range r.Paths {
		x, err := jp.ParseString(path)
		if err != nil {
			return nil, annals.Invalid("Redact.Paths", "%q is no JSON path: %v", path, err)
		}
		if !strings.HasPrefix(path, "$") {
			return nil, annals.Invalid("Redact.Paths", "%q must start with $", path)
		}
		c.paths = append(c.paths, x)
	}
	return c, nil
}

// normal makes names equal that differ in case, - and _ only.
func normal(name string) string {
	var short [64]byte // most names fit, so that only the string is allocated
	n := short[:0]
	for i := range len(name) {
		switch c := name[i]; {
		case c == '-' || c == '_':
		case c >= 'A' && c <= 'Z':
			n = append(n, c|0x20)
		default:
			n = append(n, c)
		}
	}
	return string(n)
}

// secretNames are those of members and form fields, normal.
var secretNames = set("password", "passwd", "pwd", "passphrase", "secret", "clientsecret", "secretkey",
	"secretaccesskey", "token", "accesstoken", "refreshtoken", "idtoken", "sessiontoken", "securitytoken",
	"oauthtoken", "oauthtokensecret", "apikey", "privatekey", "authorization", "cvc", "cvv")

// secretParameters are further ones of query parameters.
var secretParameters = set("key", "auth", "sig", "signature", "xamzsignature", "xamzcredential",
	"xamzsecuritytoken", "xgoogsignature", "xgoogcredential")

var secretHeaders = set("Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key")

var secretHeaderParts = []string{"token", "secret", "password", "apikey", "signature"}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

func (r *redactor) header(name string) bool {
	if r.headers[name] {
		return true
	}
	if r.none || secretHeaders[name] {
		return !r.none
	}
	n := normal(name)
	return slices.ContainsFunc(secretHeaderParts, func(part string) bool { return strings.Contains(n, part) })
}

func (r *redactor) member(name string) bool { return !r.none && secretNames[normal(name)] }

// parameter is about the last part of a name such as card[cvc] or user.password.
func (r *redactor) parameter(name string) bool {
	n := normal(strings.TrimSuffix(name, "[]"))
	if i := strings.LastIndexAny(n, "[."); i >= 0 && !r.query[n] {
		n = strings.TrimSuffix(n[i+1:], "]")
	}
	return r.query[n] || !r.none && (secretNames[n] || secretParameters[n])
}

// A sieve redacts one request with its answer, and remembers the secrets that it has
// met, so that they are found where something repeats them.
type sieve struct {
	*redactor
	secrets []string
}

func (r *redactor) sieve() *sieve { return &sieve{redactor: r} }

// met remembers a secret.
func (s *sieve) met(secret string) {
	const shortest = 3 // what is shorter would be found everywhere
	if len(secret) < shortest || secret == Redacted || slices.Contains(s.secrets, secret) {
		return
	}
	s.secrets = append(s.secrets, secret)
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) })
}

// long is from how many bytes on a secret is replaced wherever it stands. A shorter
// one may well be a word of an answer that has nothing to do with it.
const long = 8

// scrub replaces the long secrets that were met.
func (s *sieve) scrub(text string) string {
	for _, secret := range s.secrets {
		if len(secret) >= long {
			text = strings.ReplaceAll(text, secret, Redacted)
			text = strings.ReplaceAll(text, url.QueryEscape(secret), Redacted)
			text = strings.ReplaceAll(text, url.PathEscape(secret), Redacted)
		}
	}
	return text
}

func replaceWord(text, word string) string {
	letter := func(c byte) bool {
		return c == '_' || c >= utf8.RuneSelf || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return text
		}
		i += from
		from = i + len(word)
		if i > 0 && letter(text[i-1]) || from < len(text) && letter(text[from]) {
			continue
		}
		text = text[:i] + Redacted + text[from:]
		from = i + len(Redacted)
	}
}

// headers returns a copy without secrets and of bounded size.
func (s *sieve) headers(h http.Header) http.Header {
	const limit = 32 << 10
	if len(h) == 0 {
		return nil
	}
	names, size, kept := make([]string, 0, len(h)), 0, http.Header{}
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			if s.header(http.CanonicalHeaderKey(name)) {
				s.metCredentials(name, value)
				value = Redacted
			} else {
				value = s.text(s.location(name, value))
			}
			if size += len(name) + len(value); size <= limit {
				kept[name] = append(kept[name], strings.ToValidUTF8(value, "\uFFFD"))
			}
		}
	}
	return kept
}

// metCredentials remembers a header's value and its parts: the credentials behind a
// scheme, the values of cookies.
func (s *sieve) metCredentials(name, value string) {
	s.met(value)
	separators := " ,"
	switch http.CanonicalHeaderKey(name) {
	case "Cookie":
		separators = "; "
	case "Set-Cookie": // what follows is no secret: Path, Domain
		value, _, _ = strings.Cut(value, ";")
	case "Authorization", "Proxy-Authorization":
		if _, credentials, ok := strings.Cut(value, " "); ok {
			value = credentials
		}
	}
	for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		_, v, pair := strings.Cut(part, "=")
		if len(part) >= long {
			s.met(part)
		}
		if pair && len(v) >= long {
			s.met(v)
		}
	}
}

// location redacts the headers that hold one URL, which may be relative.
func (s *sieve) location(name, value string) string {
	switch name {
	case "Location", "Content-Location", "Referer":
		return s.url(value)
	}
	return value
}

// url redacts the user information and the parameters of a URL, and leaves all else
// of it as it is.
func (s *sieve) url(text string) string {
	text, fragment, hasFragment := strings.Cut(text, "#")
	text, query, hasQuery := strings.Cut(text, "?")
	if scheme, rest, ok := strings.Cut(text, "://"); ok && !s.none {
		authority, path, slash := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			s.metUser(authority[:at])
			authority = Redacted + authority[at:]
		}
		text = scheme + "://" + authority
		if slash {
			text += "/" + path
		}
	}
	if hasQuery {
		text += "?" + s.pairs(query)
	}
	if hasFragment {
		text += "#" + s.pairs(fragment)
	}
	return text
}

func (s *sieve) metUser(info string) {
	user, password, _ := strings.Cut(info, ":")
	for _, part := range []string{password, user} {
		if plain, err := url.PathUnescape(part); err == nil && (part == password || len(plain) >= long) {
			s.met(plain)
		}
	}
}

// pairs redacts name=value&… and keeps the order.
func (s *sieve) pairs(text string) string {
	parts := strings.Split(text, "&")
	for i, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		if !ok || !s.parameter(plain) {
			continue
		}
		if secret, err := url.QueryUnescape(value); err == nil {
			s.met(secret)
		}
		parts[i] = name + "=" + Redacted
	}
	return strings.Join(parts, "&")
}

// value redacts JSON in place, as far as it can, and returns it.
func (s *sieve) value(v any) any {
	for _, path := range s.paths {
		altered, err := path.Modify(v, func(found any) (any, bool) { return s.blank(found), true })
		if err == nil {
			v = altered
		}
	}
	s.members(v)
	return s.strings(v)
}

// members redacts by name.
func (s *sieve) members(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if s.member(name) {
				v[name] = s.blank(member)
			} else {
				s.members(member)
			}
		}
	case []any:
		for _, member := range v {
			s.members(member)
		}
	}
}

// strings redacts within strings, once all secrets were met.
func (s *sieve) strings(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = s.strings(member)
		}
	case []any:
		for i, member := range v {
			v[i] = s.strings(member)
		}
	case string:
		return s.text(v)
	}
	return v
}

// blank keeps the shape of v, so that what reads it still can.
func (s *sieve) blank(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = s.blank(v[name])
		}
	case []any:
		for i := range v {
			v[i] = s.blank(v[i])
		}
	case string:
		s.met(v)
		return Redacted
	case json.Number:
		s.met(v.String())
		return nil
	}
	return v
}

var (
	urlPattern         = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>\x60\\]+`)
	credentialsPattern = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}`)
	elementPattern     = regexp.MustCompile(`<(?:[\w.-]+:)?([A-Za-z][\w-]*)(?:\s[^<>]*)?>([^<>]+|<!\[CDATA\[(?s:.*?)\]\]>)</`)
	memberPattern      = regexp.MustCompile(`("?)([A-Za-z][A-Za-z0-9_-]*)("?\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|[^\s"',;&<>}\]]+)`)
)

// text redacts URLs, credentials and named values in a text, and what repeats a
// secret.
func (s *sieve) text(text string) string {
	if !s.none {
		if strings.Contains(text, "://") {
			text = urlPattern.ReplaceAllStringFunc(text, s.url)
		}
		if credentialsPattern.MatchString(text) {
			text = credentialsPattern.ReplaceAllString(text, "$1 "+Redacted)
		}
		if strings.Contains(text, "</") {
			text = s.elements(text)
		}
		if strings.ContainsAny(text, ":=") {
			text = s.named(text)
		}
	}
	return s.scrub(text)
}

// elements redacts what XML elements with the names of secrets hold.
func (s *sieve) elements(text string) string {
	return elementPattern.ReplaceAllStringFunc(text, func(found string) string {
		m := elementPattern.FindStringSubmatchIndex(found)
		if !s.member(found[m[2]:m[3]]) {
			return found
		}
		secret := strings.TrimSuffix(strings.TrimPrefix(found[m[4]:m[5]], "<![CDATA["), "]]>")
		s.met(strings.TrimSpace(secret))
		return found[:m[4]] + Redacted + found[m[5]:]
	})
}

// named redacts the values behind the names of secrets.
func (s *sieve) named(text string) string {
	return memberPattern.ReplaceAllStringFunc(text, func(found string) string {
		m := memberPattern.FindStringSubmatch(found)
		if !s.member(m[2]) || strings.HasPrefix(strings.Trim(m[4], `"`), Redacted[:1]) {
			return found
		}
		value, quote := m[4], ""
		if strings.HasPrefix(value, `"`) {
			value, quote = strings.Trim(value, `"`), `"`
		}
		s.met(value)
		return m[1] + m[2] + m[3] + quote + Redacted + quote
	})
}

// message is an error's text as the journal keeps it.
func (s *sieve) message(err error) string {
	const limit = 2 << 10
	text := s.text(err.Error())
	for _, secret := range s.secrets {
		text = replaceWord(text, secret)
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// discreet is err without the secrets of URLs in its text.
func (r *redactor) discreet(err error) error {
	if err == nil {
		return nil
	}
	was := err.Error()
	if text := urlPattern.ReplaceAllStringFunc(was, r.sieve().url); text != was {
		return &discreetError{err, text}
	}
	return err
}

type discreetError struct {
	err  error
	text string
}

func (d *discreetError) Error() string { return d.text }
func (d *discreetError) Unwrap() error { return d.err }

// response redacts an answer that somebody made up.
func (s *sieve) response(r Response) (Response, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return r, annals.Invalid("response", "can't be written as JSON: %v", err)
	}
	var copied Response
	if err := decode(text, &copied); err != nil {
		return r, annals.Invalid("response", "is not what an answer is: %v", err)
	}
	copied.Headers, copied.Error, copied.Text = s.headers(copied.Headers), s.text(copied.Error), s.text(copied.Text)
	if copied.Data != nil {
		copied.Data = s.value(copied.Data)
	}
	return copied, nil
}
