package dynamo

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// What the stand-in does not offer: the bucket's settings as init asks for them.
func TestInitKeepsTheRulesOfABucket(t *testing.T) {
	address := newAddress(t)
	sent := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		setting, _, _ := strings.Cut(r.URL.RawQuery, "=")
		switch {
		case r.Method == http.MethodGet && setting == "lifecycle":
			w.Header().Set("Content-Type", "application/xml")
			if _, err := io.WriteString(w, `<LifecycleConfiguration><Rule><ID>ours</ID><Filter><Prefix>x/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>`); err != nil {
				t.Error(err)
			}
		case r.Method == http.MethodPut:
			sent[setting] = string(body)
		}
	}))
	t.Cleanup(server.Close)
	address.S3Endpoint = server.URL
	mustInit(t, address)
	for _, want := range []string{"<ID>ours</ID>", "<Days>3</Days>", "<ID>annals-test-pending</ID>", "<Prefix>test/pending/</Prefix>", "<Days>30</Days>"} {
		if !strings.Contains(sent["lifecycle"], want) {
			t.Errorf("the rules lack %s: %s", want, sent["lifecycle"])
		}
	}
	for _, want := range []string{"<BlockPublicAcls>true", "<BlockPublicPolicy>true", "<IgnorePublicAcls>true", "<RestrictPublicBuckets>true"} {
		if !strings.Contains(sent["publicAccessBlock"], want) {
			t.Errorf("the access block lacks %s: %s", want, sent["publicAccessBlock"])
		}
	}
}

// Between a writer's item and the copy of its body, whoever may only read reads it
// all the same, and the sequencer makes it permanent.
func TestBodyThatIsNotPromotedYet(t *testing.T) {
	sizes := usualSizes
	sizes.commitUnits = 0
	p := newPlayedWorld(t, true, sizes)
	down := true
	p.s3.before = func(operation string, _ any) error {
		if operation == "CopyObject" && down {
			return errors.New("planted")
		}
		return nil
	}
	d := p.driver()
	_, err := annals.New(d, nil).Append(t.Context(), "a", 0, storetest.Event("1", "T", `1`))
	wantMessage(t, err, annals.CodeUnknownOutcome, `a`)
	reader := annals.New(p.driver(), nil)
	if events := storetest.Collect(t, reader.Stream(t.Context(), "a", nil)); len(events) != 1 || events[0].ID != "1" {
		t.Errorf("a reader has %v", events)
	}
	w := NewWorker(p.driver())
	if _, err := w.Step(t.Context()); err == nil {
		t.Error("the sequencer left the body where it is swept")
	}
	down = false
	p.step(w, 2)
	for key := range p.s3.bodies {
		if strings.Contains(key, "/"+pendingPrefix) {
			delete(p.s3.bodies, key)
		}
	}
	if c, err := annals.New(p.driver(), nil).Append(t.Context(), "a", 0, storetest.Event("1", "T", `1`)); err != nil || !c.Replayed {
		t.Errorf("the same again: %+v, %v", c, err)
	}
	wantSound(t, d, 1)
}

// A reply of S3 that breaks off is asked for again.
func TestBodyThatBreaksOff(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	store := annals.New(mustOpen(t, address, nil), nil)
	if _, err := store.Append(t.Context(), "a", 0, noise("1", 100<<10)); err != nil {
		t.Fatal(err)
	}
	var cut atomic.Int64
	target := address.S3Endpoint
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := http.Get(target + r.URL.Path)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			t.Error(err)
		}
		w.WriteHeader(answer.StatusCode)
		if cut.Add(1) <= 2 {
			_, _ = w.Write(body[:len(body)/2]) // the client is gone when this fails
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	address.S3Endpoint = server.URL
	events := storetest.Collect(t, annals.New(mustOpen(t, address, nil), nil).Stream(t.Context(), "a", nil))
	if len(events) != 1 || cut.Load() != 3 {
		t.Errorf("read %d events in %d requests", len(events), cut.Load())
	}
}
