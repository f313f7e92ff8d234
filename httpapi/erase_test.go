package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/erase"
	"github.com/eb901187/annals/subject/subjecttest"
)

// sealing is a server whose store has keys.
func sealing(t *testing.T) live {
	t.Helper()
	return sealingWith(t, subjecttest.Keyring(t), nil, nil)
}

// sealingWith calls at before each step of an erasure, and ends its requests with ending.
func sealingWith(t *testing.T, keyring *subject.Keyring, at func(erase.Step) error, ending <-chan struct{}) live {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := embedded.Open(t.TempDir(), &embedded.Options{Logger: quiet, Store: &annals.Options{Sealer: keyring}})
	if err != nil {
		t.Fatal(err)
	}
	eraser, err := erase.New(erase.Options{Store: store, Keys: keyring, At: at})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(New(store, &Options{Logger: quiet, Eraser: eraser, Authenticator: roleTokens{}, NoteActions: true, Ending: ending,
		Admission: NewAdmission(AdmissionLimits{Requests: 1, Waiting: 8, Wait: 5 * time.Second})}))
	t.Cleanup(func() {
		server.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return live{server, store}
}

func TestErasure(t *testing.T) {
	s := sealing(t)
	operator := bearing("read,append,operate")
	event := `{"type":"T","id":"1","datasubject":"p1","specversion":"1.0","source":"s","data":{"n":"secret"}}`
	const at = "/v1/streams/a/events"
	for _, c := range []struct {
		method, path, body, token string
		status                    int
		want                      string
	}{
		{"POST", at, event, "append", 201, `"version":"1"`},
		{"GET", at, "", "read", 200, `"data":{"n":"secret"}`},
		{"POST", "/v1/erasures", `{"subject":"p1"}`, "read,append", 403, "operate"},
		{"POST", "/v1/erasures", `{"subject":""}`, "operate", 400, "subject"},
		{"POST", "/v1/erasures", `{"subject":"p1","dryRun":true}`, "operate", 400, "dryRun"},
		{"POST", "/v1/erasures?dryRun=true", `{"subject":"p1"}`, "operate", 200, `"dryRun":true,"complete":false`},
		{"GET", at, "", "read", 200, `"data":{"n":"secret"}`},
		{"POST", "/v1/erasures", `{"subject":"p1","reason":"request 12"}`, "operate", 200, `"reason":"request 12","by":"holder of operate","complete":true`},
		{"GET", at, "", "read", 200, `"datacontenttype":"application/vnd.annals.erased"`},
		{"POST", at, event, "append", 410, `"code":"erased"`},
		{"POST", "/v1/erasures", `{"subject":"p1"}`, "operate", 200, `"state":"destroyed"`},
	} {
		status, _, text := s.do(t, c.method, c.path, c.body, isJSON, bearing(c.token))
		if status != c.status || !strings.Contains(text, c.want) {
			t.Fatalf("%s %s %s: %d %s; want %d %s", c.method, c.path, c.body, status, text, c.status, c.want)
		}
	}
	if _, _, text := s.do(t, "GET", "/v1/events", "", operator); strings.Contains(text, "secret") {
		t.Errorf("the log says %s", text)
	}
	noted, named := 0, 0
	for _, e := range storetest.Collect(t, s.store.Stream(t.Context(), access.Stream, nil)) {
		if strings.Contains(string(e.Data), `"what":"subject.erase"`) {
			noted++
			if strings.Contains(string(e.Data), `"target":"p1"`) {
				named++
			}
		}
	}
	if noted != 3 || named != 2 { // two erasures, and one that was refused for lack of the role, unread
		t.Errorf("%d actions of operators are noted, %d of them with the subject", noted, named)
	}
	if status, _, text := s.do(t, "GET", "/v1/streams/"+erase.Stream+"/events", "", operator); status != 200 || strings.Count(text, `"type":"annals.subject-erased"`) != 4 {
		t.Errorf("the stream of erasures: %d %s", status, text)
	}
}

// begun asks for an erasure: end returns the answer's status, or why there is none.
func begun(t *testing.T, ctx context.Context, s live) (end func() (string, error)) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, "POST", s.URL+"/v1/erasures", strings.NewReader(`{"subject":"p1"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer operate")
	var status string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var answer *http.Response
		if answer, err = s.Client().Do(request); err == nil {
			status, err = answer.Status, answer.Body.Close()
		}
	}()
	return func() (string, error) { <-ended; return status, err }
}

func TestErasureGoesOnWithoutItsClient(t *testing.T) {
	reached, goOn := make(chan struct{}), make(chan struct{})
	s := sealingWith(t, subjecttest.Keyring(t), func(step erase.Step) error {
		if step == erase.StepDestroying {
			close(reached)
			<-goOn
		}
		return nil
	}, nil)
	ctx, leave := context.WithCancel(t.Context())
	end := begun(t, ctx, s)
	<-reached
	leave()
	if status, err := end(); !errors.Is(err, context.Canceled) {
		t.Fatalf("the client that left: %s, %v", status, err)
	}
	if status, _, text := s.do(t, "GET", "/v1/events", "", bearing("read")); status != 200 {
		t.Errorf("beside an erasure: %d %s", status, text)
	}
	close(goOn)
	for e, err := range s.store.Follow(t.Context(), annals.Query{Prefix: erase.Stream}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(e.Data), `"complete":true`) {
			return
		}
	}
}

func TestErasureEndsWithItsServer(t *testing.T) {
	master, err := subject.LocalWrapper(make([]byte, subject.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	keyring, err := subject.New(subject.MemoryShelf(), master, &subject.Options{Wait: func(ctx context.Context, _ time.Duration) error {
		close(waiting)
		<-ctx.Done()
		return ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	ending := make(chan struct{})
	s := sealingWith(t, keyring, nil, ending)
	end := begun(t, t.Context(), s)
	<-waiting
	close(ending)
	if status, err := end(); err != nil || strings.HasPrefix(status, "200") {
		t.Fatalf("an erasure of a server that ends: %s, %v", status, err)
	}
	if r, err := keyring.Record(t.Context(), "p1"); err != nil || r.State != subject.Fenced {
		t.Errorf("its key is %s, %v", r.State, err)
	}
}

// What a cache or a client was given before an erasure is not to be used after it.
func TestErasedDataIsNotServedFromCaches(t *testing.T) {
	s := sealing(t)
	event := `{"type":"T","id":"1","datasubject":"p1","specversion":"1.0","source":"s","data":{"n":"secret"}}`
	if status, _, text := s.do(t, "POST", "/v1/streams/a/events", event, isJSON, bearing("append")); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	paths := []string{"/v1/streams/a/events?to=1", "/v1/streams/a/events", "/v1/events?until=1", "/v1/streams/a/state"}
	tags := map[string]string{}
	for _, path := range paths {
		status, header, text := s.do(t, "GET", path, "", bearing("read"))
		if tags[path] = header.Get("ETag"); status != 200 || !strings.Contains(text, "secret") || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q %s", path, status, header.Get("Cache-Control"), text)
		}
	}
	if status, _, text := s.do(t, "POST", "/v1/erasures", `{"subject":"p1"}`, isJSON, bearing("operate")); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	for _, path := range paths {
		status, _, text := s.do(t, "GET", path, "", bearing("read"), "If-None-Match: "+tags[path])
		if status == 304 || strings.Contains(text, "secret") {
			t.Errorf("%s once it is erased: %d %s", path, status, text)
		}
	}
}

// Without keys nothing is taken that would have to be sealed, or that says it is.
func TestWithoutKeysNothingOfASubjectIsTaken(t *testing.T) {
	s := start(t, Options{})
	sealed := `{"type":"T","id":"1","datasubject":"p1","specversion":"1.0","source":"s","stream":"a","datacontenttype":"application/vnd.annals.sealed","data_base64":"AQID"}`
	plain := `{"type":"T","id":"2","datasubject":"p1","specversion":"1.0","source":"s","stream":"a","data":1}`
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v1/streams/a/events", plain, 400, "--keys"},
		{"/v1/streams/a/events", sealed, 400, "no keys to tell"},
		{"/v1/ingest", plain, 400, "--keys"},
		{"/v1/ingest", sealed, 400, "no keys to tell"},
		{"/v1/ingest", strings.Replace(sealed, "vnd.annals", `vnd.\u0061nnals`, 1), 400, "no keys to tell"},
		{"/v1/erasures", `{"subject":"p1"}`, 404, "--keys"},
	} {
		if status, _, text := s.do(t, "POST", c.path, c.body, isJSON); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: %d %s; want %d %s", c.path, c.body, status, text, c.status, c.want)
		}
	}
	if end, err := s.store.End(t.Context()); err != nil || end != 0 {
		t.Errorf("the log ends at %d, %v", end, err)
	}
}
