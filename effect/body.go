package effect

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/eb901187/annals"
)

// maxRequest is how many bytes the body of a request may have, which is held in
// memory so that it can be sent again.
const maxRequest = 16 << 20

// content is the body as a replay gives it.
func (b *Body) content() []byte {
	switch {
	case b.Data != nil:
		return encode(b.Data)
	case b.Text != "":
		return []byte(b.Text)
	}
	return b.Bytes
}

// body is raw as the journal keeps it: JSON as a value, other text as a string,
// without secrets, and of at most max bytes.
func (s *sieve) body(raw []byte, h http.Header, max int, request bool) Body {
	b := s.parse(raw, h, request)
	b.Size = int64(len(raw))
	text := b.content()
	if size := keptSize(&b, text); size > max {
		sum := sha256.Sum256(text)
		return Body{Size: b.Size, Sum: hex.EncodeToString(sum[:]), Truncated: true}
	}
	return b
}

// keptSize is how many bytes b takes in an event, where control characters of a text
// take six and bytes are written in base64, which MaxBody allows for.
func keptSize(b *Body, text []byte) int {
	if b.Text != "" {
		return len(encode(b.Text)) * 3 / 4
	}
	return len(text)
}

func (s *sieve) parse(raw []byte, h http.Header, request bool) Body {
	if len(raw) == 0 {
		return Body{}
	}
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	raw = plain(raw, h.Get("Content-Encoding"))
	isJSON := media == annals.JSONContentType || strings.HasSuffix(media, "+json")
	switch {
	case media == "application/x-www-form-urlencoded" && utf8.Valid(raw):
		return Body{Text: s.scrub(s.pairs(string(raw)))}
	case request && strings.HasPrefix(media, "multipart/"):
		if parts, ok := s.multipart(raw, params["boundary"]); ok {
			return Body{Data: parts}
		}
	case isJSON || looksLikeJSON(raw):
		if v, ok := strictJSON(raw); ok {
			return Body{Data: s.value(v)}
		}
	}
	if utf8.Valid(raw) {
		return Body{Text: s.text(string(raw))}
	}
	for _, secret := range s.secrets {
		if len(secret) >= long {
			raw = bytes.ReplaceAll(raw, []byte(secret), []byte(Redacted))
		}
	}
	return Body{Bytes: raw}
}

// looksLikeJSON reports whether a text of another type may be JSON.
func looksLikeJSON(raw []byte) bool {
	start := bytes.TrimLeft(raw, " \t\r\n")
	return len(start) > 0 && (start[0] == '{' || start[0] == '[')
}

// around is how deep a body lies in the events of a journal and of a ledger, at most.
const around = 8

// strictJSON decodes what annals.CheckJSON passes, also within an event, but for null,
// which would be kept like no body.
func strictJSON(raw []byte) (v any, ok bool) {
	within := slices.Concat(bytes.Repeat([]byte("["), around), raw, bytes.Repeat([]byte("]"), around))
	if annals.CheckJSON(within) != nil || decode(raw, &v) != nil {
		return nil, false
	}
	return v, v != nil
}

// plain undoes gzip, so that secrets are found. Other codings are kept as they are.
func plain(raw []byte, coding string) []byte {
	if !strings.EqualFold(coding, "gzip") {
		return raw
	}
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return raw
	}
	text, err := io.ReadAll(io.LimitReader(r, maxRequest+1))
	if err != nil || len(text) > maxRequest {
		return raw
	}
	return text
}

// multipart makes JSON of a request's parts. Their boundary is chance, and what
// files hold is kept as its hash.
func (s *sieve) multipart(raw []byte, boundary string) (any, bool) {
	if boundary == "" {
		return nil, false
	}
	parts := []any{}
	for r := multipart.NewReader(bytes.NewReader(raw), boundary); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return parts, true
		}
		if err != nil {
			return nil, false
		}
		content, err := io.ReadAll(p)
		if err != nil {
			return nil, false
		}
		part := map[string]any{"name": p.FormName()}
		switch {
		case p.FileName() != "":
			sum := sha256.Sum256(content)
			part["file"], part["sha256"] = p.FileName(), hex.EncodeToString(sum[:])
		case s.parameter(p.FormName()):
			s.met(string(content))
			part["value"] = Redacted
		default:
			part["value"] = s.text(strings.ToValidUTF8(string(content), "\uFFFD"))
		}
		parts = append(parts, part)
	}
}
