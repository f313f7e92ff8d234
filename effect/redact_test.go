package effect_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
)

// A hiding is a place for a secret in a request; carry puts it there.
type hiding struct {
	name  string
	carry func(r *http.Request, body *string, secret string)
}

func withBody(kind, format string) func(*http.Request, *string, string) {
	return func(r *http.Request, body *string, secret string) {
		r.Header.Set("Content-Type", kind)
		*body = strings.ReplaceAll(format, "SECRET", secret)
	}
}

func withHeader(name, format string) func(*http.Request, *string, string) {
	return func(r *http.Request, _ *string, secret string) { r.Header.Set(name, fmt.Sprintf(format, secret)) }
}

func withQuery(name string) func(*http.Request, *string, string) {
	return func(r *http.Request, _ *string, secret string) {
		q := r.URL.Query()
		q.Set(name, secret)
		r.URL.RawQuery = q.Encode()
	}
}

var hidings = []hiding{
	{"authorization", withHeader("Authorization", "Bearer %s")},
	{"basic", func(r *http.Request, _ *string, secret string) { r.SetBasicAuth("me", secret) }},
	{"proxy", withHeader("Proxy-Authorization", "%s")},
	{"cookie", withHeader("Cookie", "a=b; session=%s")},
	{"api key", withHeader("X-Api-Key", "%s")},
	{"token header", withHeader("X-Vault-Token", "%s")},
	{"signature header", withHeader("X-Hub-Signature-256", "%s")},
	{"own header", withHeader("X-Mine", "%s")},
	{"user information", func(r *http.Request, _ *string, secret string) { r.URL.User = url.UserPassword("me", secret) }},
	{"URL in a header", withHeader("Referer", "/x?access_token=%s")},
	{"key", withQuery("key")}, {"signed URL", withQuery("X-Amz-Signature")}, {"case", withQuery("API-Key")}, {"own parameter", withQuery("pin")},
	{"JSON", withBody("application/json", `{"a":{"b":[{"password":"SECRET"}]}}`)},
	{"JSON of another name", withBody("application/json", `{"clientSecret":"SECRET","private-key":{"pem":["SECRET"]}}`)},
	{"JSON path", withBody("application/json", `{"cards":[{"number":"SECRET"}]}`)},
	{"JSON of no type", withBody("text/plain", ` {"api_key":"SECRET"}`)},
	{"broken JSON", withBody("application/json", `{"password":"SECRET","password":"SECRET"`)},
	{"escaped JSON", withBody("application/json", `{"pass\u0077ord":"SECRET"}`)},
	{"URL in JSON", withBody("application/json", `{"upload":"https://x.example/a?X-Amz-Signature=SECRET&b=1"}`)},
	{"repeated in JSON", withBody("application/json", `{"note":"it is SECRET","token":"SECRET"}`)},
	{"repeated in the URL and a header", func(r *http.Request, body *string, secret string) {
		r.URL.Path = "/of/" + secret
		r.Header.Set("X-Note", "it is "+secret)
		withBody("application/json", `{"token":"SECRET"}`)(r, body, secret)
	}},
	{"form", withBody("application/x-www-form-urlencoded", "a=1&client_secret=SECRET")},
	{"form with brackets", withBody("application/x-www-form-urlencoded", "a=1&payment[card][cvc]=SECRET")},
	{"form with dots", withBody("application/x-www-form-urlencoded", "user.password=SECRET")},
	{"XML text", withBody("text/xml", "<a><w:Password Type='x'>SECRET</w:Password></a>")},
	{"XML text unparsed", withBody("text/xml", "<Password><![CDATA[<SECRET]]></Password>")},
	{"XML text on lines", withBody("application/xml", "<Credentials><SecretAccessKey>\nSECRET\n</SecretAccessKey></Credentials>")},
	{"text", withBody("text/plain", "login with password: SECRET, please")},
	{"credentials in text", withBody("text/plain", "curl -H 'Authorization: Bearer SECRET' https://me:SECRET@x.example/")},
	{"multipart", func(r *http.Request, body *string, secret string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = errors.Join(w.WriteField("password", secret), w.Close())
		r.Header.Set("Content-Type", w.FormDataContentType())
		*body = b.String()
	}},
	{"gzip", func(r *http.Request, body *string, secret string) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		fmt.Fprintf(z, `{"token":%q}`, secret)
		_ = z.Close()
		r.Header.Set("Content-Encoding", "gzip")
		r.Header.Set("Content-Type", "application/json")
		*body = b.String()
	}},
}

// What the other side does with what it was sent: repeats all of it, sets cookies,
// redirects, breaks the connection.
func echo(w http.ResponseWriter, r *http.Request, body string, n int) {
	if r.Header.Get("Content-Encoding") == "gzip" {
		if z, err := gzip.NewReader(strings.NewReader(body)); err == nil {
			text, _ := io.ReadAll(z)
			body = string(text)
		}
	}
	w.Header().Set("Set-Cookie", "session="+r.URL.RawQuery)
	switch n % 4 {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"headers":%q,"query":%q,"body":%q}`, fmt.Sprint(r.Header), r.URL.String(), body)
	case 2:
		w.Header().Set("Location", r.URL.String())
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, r.Header, r.URL, body)
	case 3:
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		fmt.Fprint(w, body)
	}
}

// Secrets in every place, and what the other side and errors make of them, are
// nowhere in the bytes of the store.
func TestSecretsNeverReachTheStore(t *testing.T) {
	seed := uint64(20261121)
	random := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := newOutside(t, echo)
	g := newGateway(t, store, &effect.Options{Redact: effect.Redaction{
		Headers: []string{"x-mine"}, Query: []string{"pin"}, Paths: []string{"$.cards[*].number"},
	}})
	var secrets []string
	for i := range 4 * len(hidings) {
		hide := hidings[i%len(hidings)]
		secret := fmt.Sprintf("sk_live_%016x%s", random.Uint64(), []string{"", "%2F+", "=="}[random.IntN(3)])
		if strings.Contains(hide.name, "text") || strings.Contains(hide.name, "form") || strings.Contains(hide.name, "URL") {
			secret = secret[:24] // where the rest would need escapes
		}
		secrets = append(secrets, secret)
		e := place(t, store, fmt.Sprintf("order-%d", i))
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			return tell(ctx, o.URL, hide, secret, i%2 == 0)
		})
		if err != nil {
			t.Fatalf("%s: %v", hide.name, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for i, at := range found(t, dir, secrets) {
		t.Errorf("seed %d: %s: secret in the log: …%q…", seed, hidings[i%len(hidings)].name, at)
	}
}

// tell sends a secret by HTTP and by Do, which fails or not.
func tell(ctx context.Context, url string, hide hiding, secret string, fails bool) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	body := ""
	hide.carry(r, &body, secret)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	if answer, err := once().RoundTrip(r); err == nil { // some break on purpose
		if err := answer.Body.Close(); err != nil {
			return err
		}
	}
	request := map[string]any{"token": secret, "deep": []any{map[string]string{"cvc": secret}}}
	_, err = effect.Do(ctx, "do", request, func(context.Context, string) (map[string]string, error) {
		if fails {
			return nil, fmt.Errorf("dial https://me:%s@x.example/?sig=%s: it said %s", secret, secret, secret)
		}
		return map[string]string{"refresh_token": secret, "note": "for " + secret}, nil
	})
	if fails {
		return nil
	}
	return err
}

// found looks for secrets in the log's files, and returns what surrounds them.
func found(t *testing.T, dir string, secrets []string) map[int]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "log", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no log", err)
	}
	places := map[int]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(raw, []byte("order-1@1")) || !bytes.Contains(raw, []byte(effect.Redacted)) {
			t.Fatal("the log is not readable as it is: the test proves nothing")
		}
		for i, secret := range secrets {
			if at := bytes.Index(raw, []byte(secret[:24])); at >= 0 {
				places[i] = string(raw[max(0, at-200) : at+40])
			}
		}
	}
	return places
}

// What stands beside a secret in its header is none.
func TestAttributesOfCookiesAreNoSecrets(t *testing.T) {
	const answer = `{"algorithm":"AWS4-HMAC-SHA256","next":"https://example.com/payments/2"}`
	o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
		w.Header().Set("Set-Cookie", "session=0123456789abcdef; Domain=example.com; Path=/payments; HttpOnly")
		fmt.Fprint(w, answer)
	})
	got := twice(t, o, nil, func(ctx context.Context) (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL+"/x-amz-date", nil)
		if err != nil {
			return "", err
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=0123456789")
		given, err := once().RoundTrip(r)
		if err != nil {
			return "", err
		}
		defer given.Body.Close()
		text, err := io.ReadAll(given.Body)
		return string(text), err
	})
	if got != answer {
		t.Error(got)
	}
}

// What a handler returns may be kept where events are parked.
func TestErrorsTellNoSecrets(t *testing.T) {
	store, o := openStore(t), newOutside(t, func(http.ResponseWriter, *http.Request, string, int) { panic(http.ErrAbortHandler) })
	err := newGateway(t, store, nil).Handle(t.Context(), effect.Handling{Handler: "h", Event: place(t, store, "order")}, func(ctx context.Context) error {
		_, _, err := ask(ctx, once(), http.MethodPost, o.URL+"/?access_token=hush", "")
		return err
	})
	if !errors.Is(err, io.EOF) || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), o.URL) {
		t.Error(err)
	}
}

// A short secret may well be a part of bytes that have nothing to do with it.
func TestBytesStayWhole(t *testing.T) {
	const bytes = "\xff\xfe 123 \x00"
	o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) { fmt.Fprint(w, bytes) })
	got := twice(t, o, nil, func(ctx context.Context) (string, error) {
		_, text, err := ask(ctx, once(), http.MethodPost, o.URL, `{"cvc":"123"}`)
		return text, err
	})
	if got != bytes {
		t.Errorf("%q", got)
	}
}

func TestWhatIsNotSecretIsKept(t *testing.T) {
	store, o := openStore(t), newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
		fmt.Fprint(w, `{"user":"admin","token":7,"secret":{"a":"b","n":[1,true,null]},"keyboard":"x","next_token_page":"p"}`)
	})
	for _, test := range []struct {
		redact effect.Redaction
		url    string
		body   string
	}{
		{effect.Redaction{}, "/?a=1&token=[redacted]&b=%20x", `{"keyboard":"x","next_token_page":"p","secret":{"a":"[redacted]","n":[null,true,null]},"token":null,"user":"admin"}`},
		{effect.Redaction{None: true}, "/?a=1&token=t&b=%20x", `{"keyboard":"x","next_token_page":"p","secret":{"a":"b","n":[1,true,null]},"token":7,"user":"admin"}`},
		{effect.Redaction{None: true, Query: []string{"A"}, Paths: []string{"$..a", "$.user"}}, "/?a=[redacted]&token=t&b=%20x", `{"keyboard":"x","next_token_page":"p","secret":{"a":"[redacted]","n":[1,true,null]},"token":7,"user":"[redacted]"}`},
	} {
		e := place(t, store, "order")
		var body string
		for _, mode := range []effect.Mode{effect.Live, effect.Replay} {
			err := newGateway(t, store, &effect.Options{Redact: test.redact}).Handle(t.Context(), effect.Handling{Handler: "h", Event: e, Mode: mode}, func(ctx context.Context) (err error) {
				_, body, err = ask(ctx, once(), http.MethodPost, o.URL+"/?a=1&token=t&b=%20x", `{"password":"admin"}`)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if body != test.body {
			t.Errorf("%s, want %s", body, test.body)
		}
		if got := strings.TrimPrefix(journal(t, store, "h", e)[0].Request.URL, o.URL); got != test.url {
			t.Errorf("%s, want %s", got, test.url)
		}
	}
}
