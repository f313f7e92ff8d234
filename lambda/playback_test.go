package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/kinesis"
	"github.com/eb901187/annals/playback"
)

// A theatre is a stage with a function of role playback, that takes note of what it
// invokes.
type theatre struct {
	*stage
	kinesis *sdk.Client
	store   *annals.Store

	mu      sync.Mutex
	invoked []string
	refuse  bool
}

const playerName = "stage-playback"

// newTheatre has n events in the log.
func newTheatre(t *testing.T, n int) *theatre {
	t.Helper()
	h := &theatre{stage: newStage(t)}
	function := lambdacontext.FunctionName
	lambdacontext.FunctionName = playerName
	t.Cleanup(func() { lambdacontext.FunctionName = function })
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		payload, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/2015-03-31/functions/"+playerName+"/invocations" || r.Header.Get("X-Amz-Invocation-Type") != "Event" {
			t.Errorf("%s %s as %s, %v", r.Method, r.URL.Path, r.Header.Get("X-Amz-Invocation-Type"), err)
		}
		if h.refuse {
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.invoked = append(h.invoked, string(payload))
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(service.Close)
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", service.URL)
	h.kinesis = h.withKinesis()
	h.store = h.stage.store()
	for i := range n {
		if _, err := h.store.Append(t.Context(), fmt.Sprint("order-", i%3), annals.Any, annals.Event{ID: fmt.Sprint(i), Type: "placed", Data: []byte(`{"amount":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	h.mustInvoke(h.function(Sequence, nil), h.batch("stage-events"), allDone)
	return h
}

// next returns what was invoked since the last call.
func (h *theatre) next() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.invoked
	h.invoked = nil
	return all
}

// call invokes f under an id of its own, and returns the playback that it answers with.
func (h *theatre) call(f *Function, request, payload string, timeout time.Duration) (p playback.Playback, err error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), timeout)
	defer cancel()
	answer, err := f.Invoke(lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: request}), []byte(payload))
	if err == nil {
		if err := json.Unmarshal(answer, &p); err != nil {
			h.t.Fatal(err, string(answer))
		}
	}
	return p, err
}

func (h *theatre) mustCall(f *Function, request, payload string, want playback.State) playback.Playback {
	h.t.Helper()
	p, err := h.call(f, request, payload, time.Minute)
	if err != nil || p.State != want {
		h.t.Fatalf("%s: %+v, %v; want it %s", payload, p, err, want)
	}
	return p
}

// wantSent compares what subscribers of a playback see with its selection.
func (h *theatre) wantSent(id string) {
	h.t.Helper()
	text := func(e *annals.Event) string { return e.Attributes[playback.AttributeOf] + " " + string(e.Data) }
	var got, want []string
	for e, err := range kinesis.NewReader(h.kinesis, "stage-playback", nil).Playback(h.t.Context(), id) {
		if err != nil {
			h.t.Fatal(err)
		}
		got = append(got, text(&e))
	}
	for e, err := range playback.Subscribe(h.t.Context(), h.store, id, 0, nil) {
		if err != nil {
			h.t.Fatal(err)
		}
		want = append(want, text(&e))
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		h.t.Errorf("playback %s sent %v, want %v", id, got, want)
	}
}

func TestPlaybackToTheStream(t *testing.T) {
	h := newTheatre(t, 9)
	f := h.function(Playback, nil)
	p := h.mustCall(f, "r-1", `{"selection":{"streams":["order-1"]}}`, playback.StateFinished)
	if p.ID != "r-1" || p.Count != 3 || p.Target.String() != "kinesis stage-playback" || p.Runner != playerName+"/r-1" {
		t.Errorf("%+v", p)
	}
	h.wantSent("r-1")
	// Lambda repeats an invocation under its id: that is the same playback.
	if again := h.mustCall(f, "r-1", `{"selection":{"streams":["order-1"]}}`, playback.StateFinished); again.ID != p.ID || again.Updated != p.Updated {
		t.Errorf("repeated: %+v", again)
	}
	h.mustCall(f, "r-2", `{"id":"mine","target":{"kind":"kinesis"}}`, playback.StateFinished)
	h.wantSent("mine")
	if invoked := h.next(); len(invoked) > 0 {
		t.Errorf("invoked %v", invoked)
	}
}

// Lambda repeats an asynchronous invocation that was killed: that goes on with the
// playback that it has begun, whoever named it.
func TestPlaybackIsRepeated(t *testing.T) {
	h := newTheatre(t, 6)
	f := h.function(Playback, nil)
	for request, payload := range map[string]string{"r-1": `{"id":"mine"}`, "r-2": `{}`} {
		id := map[string]string{"r-1": "mine", "r-2": "r-2"}[request]
		opts := &playback.Options{ID: id, Runner: playerName + "/" + request}
		if _, err := playback.Start(t.Context(), h.store, playback.Selection{}, kinesis.Target(h.kinesis, "stage-playback", nil), opts); err != nil {
			t.Fatal(err)
		}
		h.mustCall(f, request, payload, playback.StateFinished)
		h.wantSent(id)
	}
	_, err := h.call(f, "r-3", `{"id":"mine"}`, time.Minute)
	wantError(t, err, annals.CodeConflict, "a playback mine already")
}

// A part of a projection goes on too, in the generation that it has begun.
func TestPlaybackIntoAProjectionHandsOver(t *testing.T) {
	h := newTheatre(t, 9)
	dir := "ANNALS_PROJECTIONS=" + writeProjection(t, ordersFile)
	h.mustInvoke(h.function(Write, nil, dir), h.batch("stage-log"), allDone)
	f := h.function(Playback, nil, dir)
	h.mustAsk(f, "POST", "/v1/playbacks", `{"id":"part","selection":{"to":"5"},"target":{"kind":"projection","name":"orders"}}`, 201, `"state":"running"`)
	next := h.next()
	if len(next) != 1 {
		t.Fatalf("invoked %v", next)
	}
	h.mustCall(f, "r-1", next[0], playback.StateFinished)
	query := h.function(Query, nil, dir)
	h.mustAsk(query, "GET", "/v1/views/orders/order-0?generation=2", "", 200, `{"total":2}`)
	h.mustAsk(query, "GET", "/v1/views/orders/order-0?generation=3", "", 404, "")
}

// hang lets so many puts through until hung is told to let go.
func (h *theatre) hang(puts int) {
	h.aws.APIOptions = append(slices.Clone(h.aws.APIOptions), func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("hang", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			if _, is := in.Parameters.(*sdk.PutRecordsInput); is {
				if puts--; puts < 0 {
					<-ctx.Done()
					return middleware.InitializeOutput{}, middleware.Metadata{}, ctx.Err()
				}
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
}

// What one invocation has no time for, the next goes on with.
func TestPlaybackHandsOver(t *testing.T) {
	h := newTheatre(t, 12)
	plain := h.aws.APIOptions
	h.hang(2)
	slow := h.function(Playback, nil)
	h.aws.APIOptions = plain
	p, err := h.call(slow, "r-1", `{"rate":20}`, 4*time.Second)
	if err != nil || p.State != playback.StateRunning || p.Count == 0 || p.Count > 4 {
		t.Fatalf("%+v, %v", p, err)
	}
	next := h.next()
	if len(next) != 1 {
		t.Fatalf("invoked %v", next)
	}
	f := h.function(Playback, nil)
	p = h.mustCall(f, "r-2", next[0], playback.StateFinished)
	if p.Count != 12 || p.Runner != playerName+"/r-2" {
		t.Errorf("%+v", p)
	}
	h.wantSent("r-1")
	// Lambda may deliver it twice.
	h.mustCall(f, "r-3", next[0], playback.StateFinished)
	h.mustCall(f, "r-2", next[0], playback.StateFinished)
}

// A chain that moves nothing ends.
func TestPlaybackWithoutProgressStops(t *testing.T) {
	h := newTheatre(t, 3)
	h.hang(0)
	f := h.function(Playback, nil)
	_, err := h.call(f, "r-1", `{}`, 2*time.Second)
	wantError(t, err, annals.CodeTimeout, "without progress", `{"resume":"r-1"}`)
	if p, err := playback.Show(t.Context(), h.store, "r-1", nil); err != nil || p.State != playback.StateStopped || len(h.next()) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPlaybackByHTTP(t *testing.T) {
	h := newTheatre(t, 6)
	f := h.function(Playback, nil)
	h.mustAsk(f, "POST", "/v1/playbacks", `{"id":"one"}`, 201, `"state":"running"`)
	next := h.next()
	if want := `{"after":"` + playerName + `/request-1","continue":"one"}`; len(next) != 1 || next[0] != want {
		t.Fatalf("invoked %v, want %s", next, want)
	}
	// It never ran, as if it had been lost: after a while that shows.
	later := &playback.Options{Clock: func() time.Time { return time.Now().Add(time.Minute) }}
	if p, err := playback.Show(t.Context(), h.store, "one", later); err != nil || p.State != playback.StateInterrupted {
		t.Fatalf("%+v, %v", p, err)
	}
	h.mustAsk(f, "POST", "/v1/playbacks/one/resume", "", 200, `"state":"running"`)
	resumed := h.next()
	h.mustAsk(f, "POST", "/v1/playbacks/one/stop?reason=lunch", "", 200, `"state":"stopped"`)
	for _, payload := range append(resumed, next...) {
		if p := h.mustCall(f, "r-1", payload, playback.StateStopped); p.Count != 0 || p.Reason != "lunch" {
			t.Errorf("%+v", p)
		}
	}
	h.mustCall(f, "r-2", `{"resume":"one"}`, playback.StateFinished)
	h.wantSent("one")

	h.mustAsk(f, "POST", "/v1/playbacks", `{"id":"two"}`, 201, "")
	if p := h.mustCall(f, "r-3", `{"stop":"two","reason":"tea"}`, playback.StateStopped); p.Reason != "tea" {
		t.Errorf("%+v", p)
	}
	h.refuse = true
	h.mustAsk(f, "POST", "/v1/playbacks", `{"id":"three"}`, 503, "could not be invoked")
	if p, err := playback.Show(t.Context(), h.store, "three", nil); err != nil || p.State != playback.StateStopped {
		t.Errorf("%+v, %v", p, err)
	}
	h.mustAsk(f, "POST", "/v1/playbacks", `{"target":{"kind":"kinesis","name":"stage-ingest"}}`, 400, "no other Kinesis stream")
	h.mustAsk(f, "POST", "/v1/ingest", `{}`, 404, "this process serves playback")
}

func TestPlaybackRefuses(t *testing.T) {
	h := newTheatre(t, 1)
	f := h.function(Playback, nil)
	for payload, want := range map[string]string{
		`{"selecton":{}}`: "selecton", `{"resume":"a","stop":"b"}`: "must be one of", `{"resume":"a","rate":5}`: "must be one of",
		`{"reason":"x"}`: "reason without stop", `{"continue":"a"}`: "continue and after", `{"selection":{"from":7}}`: "positions are strings",
		`{"target":{"kind":"file","name":"x"}}`: "must be kinesis, stream or projection", `{"target":{"kind":"kinesis","name":"other"}}`: "no other Kinesis stream",
	} {
		_, err := h.call(f, "r", payload, time.Minute)
		wantError(t, err, annals.CodeInvalid, want)
	}
	_, err := h.call(f, "r", `{"resume":"missing"}`, time.Minute)
	wantError(t, err, annals.CodeNotFound, "missing")
	_, err = h.call(h.function(Playback, nil, "ANNALS_PLAYBACK_STREAM=missing"), "r", `{}`, time.Minute)
	wantError(t, err, annals.CodeNotFound, "no Kinesis stream missing", `{"resume":"r"}`)
	if p, err := playback.Show(t.Context(), h.store, "r", nil); err != nil || p.State != playback.StateFailed || !strings.Contains(p.Error, "missing") {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPlaybackIntoAProjection(t *testing.T) {
	h := newTheatre(t, 9)
	dir := "ANNALS_PROJECTIONS=" + writeProjection(t, ordersFile)
	h.mustInvoke(h.function(Write, nil, dir), h.batch("stage-log"), allDone)
	f := h.function(Playback, nil, dir)
	p := h.mustCall(f, "r-1", `{"selection":{"to":"5"},"target":{"kind":"projection","name":"orders"}}`, playback.StateFinished)
	if p.Count != 5 {
		t.Errorf("%+v", p)
	}
	query := h.function(Query, nil, dir)
	h.mustAsk(query, "GET", "/v1/views/orders/order-0?generation=2", "", 200, `{"total":2}`)
	h.mustAsk(query, "GET", "/v1/views/orders/order-0", "", 200, `{"total":3}`)
}
