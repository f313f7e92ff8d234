package effect_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/eb901187/annals/effect"
)

// twice runs f live and then as a replay, in which nothing may be sent, and compares
// what it returns.
func twice(t *testing.T, o *outside, opts *effect.Options, f func(ctx context.Context) (string, error)) string {
	t.Helper()
	store := openStore(t)
	g, e := newGateway(t, store, opts), place(t, store, "order-7")
	var got [2]string
	sent := 0
	for i, mode := range []effect.Mode{effect.Live, effect.Replay} {
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e, Mode: mode}, func(ctx context.Context) (err error) {
			got[i], err = f(ctx)
			return err
		})
		if err != nil {
			t.Fatalf("mode %d: %v", mode, err)
		}
		if n := len(o.sent()); mode == effect.Live {
			sent = n
		} else if n != sent {
			t.Errorf("the replay sent %d", n-sent)
		}
	}
	if got[0] != got[1] {
		t.Errorf("live %q, replay %q", got[0], got[1])
	}
	return got[0]
}

func TestAnswersAreGivenAgain(t *testing.T) {
	bodies := []struct{ kind, body string }{
		{"application/json", `{"a":1.50,"b":[true,null,"ä"],"c":12345678901234567890}`},
		{"application/problem+json", `{"a":1}`},
		{"application/json", `null`}, {"application/json", `""`}, {"application/json", `false`}, {"application/json", `0`},
		{"application/json", `{"a":1,"a":2}`}, // as text
		{"application/json", `{"a":`},
		{"text/plain; charset=utf-8", "hello\nworld\t\x01"},
		{"text/html", "<p>a & b</p>\u2028"},
		{"application/octet-stream", "\xff\xfe\x00\x01"},
		{"", ""},
	}
	o := newOutside(t, func(w http.ResponseWriter, r *http.Request, _ string, _ int) {
		var b struct{ kind, body string }
		fmt.Sscan(r.URL.Query().Get("i"), new(int))
		for i, c := range bodies {
			if fmt.Sprint(i) == r.URL.Query().Get("i") {
				b = c
			}
		}
		w.Header().Set("Content-Type", b.kind)
		w.Header()["X-Twice"] = []string{"1", "2"}
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, b.body)
	})
	for i, b := range bodies {
		got := twice(t, o, nil, func(ctx context.Context) (string, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL+fmt.Sprintf("/?i=%d", i), nil)
			if err != nil {
				return "", err
			}
			answer, err := (&http.Client{Transport: once()}).Do(r)
			if err != nil {
				return "", err
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			return fmt.Sprint(answer.Status, answer.Header["X-Twice"], answer.Header.Get("Content-Type"), answer.ContentLength, string(text)), err
		})
		if want := fmt.Sprint("418 I'm a teapot", []string{"1", "2"}, b.kind, len(b.body), b.body); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRequestsArriveAsTheyWereMade(t *testing.T) {
	o := newOutside(t, func(w http.ResponseWriter, r *http.Request, body string, _ int) {
		fmt.Fprint(w, r.Method, r.Header["X-Mine"], r.ContentLength, body)
	})
	got := twice(t, o, nil, func(ctx context.Context) (string, error) {
		// A body of unknown length, and a caller who looks at the request after.
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, o.URL+"/x?a=1#there", io.MultiReader(strings.NewReader("some "), strings.NewReader("text")))
		if err != nil {
			return "", err
		}
		r.Header["X-Mine"] = []string{"1", "2"}
		before := r.Header.Clone()
		answer, err := once().RoundTrip(r)
		if err != nil {
			return "", err
		}
		if !reflect.DeepEqual(r.Header, before) {
			t.Errorf("the caller's headers were changed to %v", r.Header)
		}
		if answer.Request != r {
			t.Error("the answer is of another request")
		}
		text, err := io.ReadAll(answer.Body)
		return string(text), errors.Join(err, answer.Body.Close())
	})
	if got != "PUT[1 2] 9some text" {
		t.Error(got)
	}
}

// Every hop of a redirect is a call.
func TestRedirect(t *testing.T) {
	o := newOutside(t, func(w http.ResponseWriter, r *http.Request, body string, _ int) {
		if r.URL.Path == "/a" {
			http.Redirect(w, r, "/b?token=abcdefgh", http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, r.URL.Path, body)
	})
	got := twice(t, o, nil, func(ctx context.Context) (string, error) {
		_, text, err := ask(ctx, once(), http.MethodPost, o.URL+"/a", `{"x":1}`)
		return text, err
	})
	if got != `/b{"x":1}` {
		t.Error(got)
	}
	if calls := o.sent(); len(calls) != 2 || calls[0].key == calls[1].key || calls[1].key == "" {
		t.Errorf("sent %v", calls)
	}
}

// A query is asked again where only that gives its handler an answer; nothing else is.
func TestAnswerBeyondMaxBody(t *testing.T) {
	const size = 3 << 20
	o := newOutside(t, func(w http.ResponseWriter, r *http.Request, _ string, _ int) {
		io.CopyN(w, strings.NewReader(strings.Repeat("x", size)), size)
	})
	store := openStore(t)
	g, e := newGateway(t, store, &effect.Options{MaxBody: 1000}), place(t, store, "order-7")
	read := 0
	for _, test := range []struct {
		method string
		mode   effect.Mode
		given  bool
	}{
		{http.MethodGet, effect.Live, true}, {http.MethodGet, effect.Live, true}, {http.MethodGet, effect.Replay, false},
		{http.MethodPost, effect.Live, true}, {http.MethodPost, effect.Live, false},
	} {
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e, Mode: test.mode}, func(ctx context.Context) error {
			_, text, err := ask(effect.Named(ctx, strings.ToLower(test.method)), once(), test.method, o.URL, "")
			read = len(text)
			return err
		})
		if test.given && (err != nil || read != size) || !test.given && (err == nil || !strings.Contains(err.Error(), "MaxBody")) {
			t.Errorf("%+v: %d bytes: %v", test, read, err)
		}
	}
	for _, entry := range journal(t, store, "h", e) {
		if !entry.Response.Truncated || entry.Status != effect.Answered {
			t.Errorf("%+v", entry)
		}
	}
	if n := len(o.sent()); n != 3 {
		t.Errorf("%d sent", n)
	}
}

func TestHeadIsGivenAgain(t *testing.T) {
	o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
		w.Header().Set("Content-Length", "1234")
	})
	got := twice(t, o, nil, func(ctx context.Context) (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodHead, o.URL, nil)
		if err != nil {
			return "", err
		}
		answer, err := once().RoundTrip(r)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d %s", answer.ContentLength, answer.Header.Get("Content-Length")), answer.Body.Close()
	})
	if got != "1234 1234" {
		t.Error(got)
	}
}

func TestRequestBeyondMaxBodyIsComparedByItsHash(t *testing.T) {
	o := newOutside(t, nil)
	store := openStore(t)
	g, e := newGateway(t, store, &effect.Options{MaxBody: 1000}), place(t, store, "order-7")
	call := func(last string) error {
		return g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, once(), http.MethodPost, o.URL, `{"x":"`+strings.Repeat("x", 2000)+last+`"}`)
			return err
		})
	}
	if err := errors.Join(call("a"), call("a")); err != nil || len(o.sent()) != 1 {
		t.Fatalf("%d sent: %v", len(o.sent()), err)
	}
	if err := call("b"); err == nil || len(o.sent()) != 1 {
		t.Fatalf("another body: %v", err)
	}
	body := journal(t, store, "h", e)[0].Request.Body
	sum := sha256.Sum256([]byte(`{"x":"` + strings.Repeat("x", 2000) + `a"}`))
	if body.Sum != hex.EncodeToString(sum[:]) || body.Size != 2009 || body.Data != nil {
		t.Errorf("%+v", body)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	closed := 0
	body := func(r io.Reader) io.ReadCloser {
		return struct {
			io.Reader
			io.Closer
		}{r, closer(func() { closed++ })}
	}
	requests := map[string]*http.Request{
		"more than 16777216 bytes": {Method: "POST", Body: body(io.LimitReader(zeros{}, 16<<20+1))},
		"broken body":              {Method: "POST", Body: body(io.MultiReader(strings.NewReader("x"), brokenBody{}))},
		"upgrade":                  {Method: "GET", Header: http.Header{"Upgrade": {"websocket"}}, Body: body(strings.NewReader(""))},
	}
	err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
		for want, r := range requests {
			u, err := url.Parse(o.URL)
			if err != nil {
				return err
			}
			r.URL = u
			if _, err := once().RoundTrip(r.WithContext(ctx)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
		return nil
	})
	if err != nil || len(o.sent()) != 0 || closed != len(requests) {
		t.Errorf("%v; sent %v; closed %d bodies", err, o.sent(), closed)
	}
}

type closer func()

func (c closer) Close() error { c(); return nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("broken body") }

func TestSameRequest(t *testing.T) {
	form := func(boundary, file string) (string, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		if err := w.SetBoundary(boundary); err != nil {
			t.Fatal(err)
		}
		part, err := w.CreateFormFile("f", "f.txt")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(part, file)
		if err := errors.Join(w.WriteField("a", "1"), w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String(), w.FormDataContentType()
	}
	one, oneType := form("xxxx", "file")
	two, twoType := form("yyyy", "file")
	three, threeType := form("xxxx", "other")
	const js = "application/json"
	tests := []struct {
		a, aType, b, bType string
		same               bool
	}{
		{`{"a":1,"b":[1.0,"x"]}`, js, ` {"b":[1e0, "x"], "a":1.00}`, js, true},
		{`{"a":1}`, js, `{"a":"1"}`, js, false},
		{`{"a":1}`, js, `{"a":1,"b":null}`, js, false},
		{`[1,2]`, js, `[2,1]`, js, false},
		{`text`, "text/plain", `text `, "text/plain", false},
		{"\xff\x00", "", "\xff\x00", "", true},
		{"\xff\x00", "", "\xff\x01", "", false},
		{one, oneType, two, twoType, true},
		{one, oneType, three, threeType, false},
	}
	for _, test := range tests {
		store, o := openStore(t), newOutside(t, nil)
		g, e := newGateway(t, store, nil), place(t, store, "order-7")
		call := func(body, kind string) error {
			return g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL, strings.NewReader(body))
				if err != nil {
					return err
				}
				r.Header.Set("Content-Type", kind)
				answer, err := once().RoundTrip(r)
				if err != nil {
					return err
				}
				return answer.Body.Close()
			})
		}
		if err := call(test.a, test.aType); err != nil {
			t.Fatal(err)
		}
		if err := call(test.b, test.bType); (err == nil) != test.same {
			t.Errorf("%q and %q: %v", test.a, test.b, err)
		}
	}
}

func TestOwnIdempotencyKeyStays(t *testing.T) {
	store := openStore(t)
	o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, n int) {
		if n == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	for _, own := range []string{"mine", "mine-again"} { // an SDK that draws a key for each try
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL, nil)
			if err != nil {
				return err
			}
			r.Header.Set("Idempotency-Key", own)
			answer, err := once().RoundTrip(r)
			if err != nil {
				return err
			}
			return answer.Body.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := o.sent(); len(got) != 2 || got[0].key != "mine" || got[1].key != "mine" {
		t.Errorf("sent %v", got)
	}
	if entry := journal(t, store, "h", e)[0]; entry.Key != "mine" || entry.Attempts != 2 {
		t.Errorf("%+v", entry)
	}
}

// A loop that tries again, in a handler or in a library, makes one call.
func TestRetryLoopIsOneCall(t *testing.T) {
	o := newOutside(t, func(w http.ResponseWriter, r *http.Request, _ string, n int) {
		if r.URL.Path == "/charge" && n < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, r.URL.Path)
	})
	twice(t, o, nil, func(ctx context.Context) (string, error) {
		for range 5 {
			status, _, err := ask(ctx, once(), http.MethodPost, o.URL+"/charge", "{}")
			if err != nil {
				return "", err
			}
			if status == http.StatusOK {
				break
			}
		}
		_, text, err := ask(ctx, once(), http.MethodPost, o.URL+"/ship", "{}")
		return text, err
	})
	keys := map[string]bool{}
	for _, s := range o.sent() {
		keys[s.path+s.key] = true
	}
	if len(o.sent()) != 4 || len(keys) != 2 {
		t.Errorf("sent %v", o.sent())
	}
}

func TestConcurrentNamedCalls(t *testing.T) {
	o := newOutside(t, func(w http.ResponseWriter, r *http.Request, _ string, _ int) { fmt.Fprint(w, r.URL.Path) })
	twice(t, o, nil, func(ctx context.Context) (string, error) {
		var wg sync.WaitGroup
		answers, failures := make([]string, 16), make([]error, 16)
		for i := range answers {
			wg.Go(func() {
				named := effect.Named(ctx, fmt.Sprintf("c%d", i))
				_, answers[i], failures[i] = ask(named, once(), http.MethodPost, fmt.Sprintf("%s/%d", o.URL, i), "")
			})
		}
		wg.Wait()
		return strings.Join(answers, " "), errors.Join(failures...)
	})
	if n := len(o.sent()); n != 16 {
		t.Errorf("%d sent", n)
	}
}

func TestGzipIsDecodedForTheJournal(t *testing.T) {
	o := newOutside(t, func(w http.ResponseWriter, r *http.Request, _ string, _ int) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		z := gzip.NewWriter(w)
		io.WriteString(z, `{"access_token":"abcdefghijk","a":1}`)
		z.Close()
	})
	store := openStore(t)
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	for _, want := range []string{`{"access_token":"abcdefghijk","a":1}`, `{"a":1,"access_token":"[redacted]"}`} {
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
			if err != nil {
				return err
			}
			r.Header.Set("Accept-Encoding", "gzip")
			answer, err := once().RoundTrip(r)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			body := io.Reader(answer.Body)
			if answer.Header.Get("Content-Encoding") == "gzip" {
				if body, err = gzip.NewReader(body); err != nil {
					return err
				}
			}
			text, err := io.ReadAll(body)
			if string(text) != want {
				t.Errorf("%s, want %s", text, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
