package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/proof"
	"github.com/eb901187/annals/subject"
)

// Options changes how a handler works; nil means the defaults.
type Options struct {
	// Clock tells a trace which calls were given up; time.Now by default.
	Clock func() time.Time
	// Authenticator recognizes the bearer tokens of requests; with nil everybody is who
	// access.With put into the request's context, or else access.Local, who may do
	// everything.
	Authenticator access.Authenticator
	// NoteActions notes in access.Stream what operators do by requests, and what is
	// refused to others for lack of the role, as far as that does not come in floods.
	NoteActions bool
	// Admission bounds how many requests are at work; nil bounds nothing. Its metrics
	// are among those of /metrics.
	Admission *Admission
	// Logger gets requests that fail by the server's fault; slog.Default by
	// default.
	Logger *slog.Logger
	// BodyTimeout is how long a client may take to send a body, or the next 64 KiB
	// of it; 30 s by default.
	BodyTimeout time.Duration
	// WriteTimeout is how long a client may take to take what it is sent, counted
	// anew with each flush; 30 s by default.
	WriteTimeout time.Duration
	// Ending, when it is closed, ends the requests that have no end of their own:
	// following, and waiting for a position. It ends erasures too, which clients that
	// leave don't.
	Ending <-chan struct{}
	// Heartbeat is how often a quiet stream of events shows that it lives; 15 s
	// by default.
	Heartbeat time.Duration
	// Collectors add their metrics to those of /metrics, whose own names start
	// with annals_http_, annals_log_ and annals_events_.
	Collectors []prometheus.Collector
	// Projections are what the routes of views, projections and consumers are
	// about; with nil they answer 404. Running them is the caller's.
	Projections *projection.Set
	// Reload reads the definition of a projection again before it is rebuilt; nil
	// without an error says that the one that the Set has is the one.
	Reload func(name string) (*projection.Projection, error)
	// Playbacks runs those that requests start; with nil they can't, and those that
	// run elsewhere can be read. Closing it is the caller's.
	Playbacks PlaybackRunner
	// PlaybackTarget makes the targets that the server can't make by itself: of kind
	// playback.KindKinesis. Nil makes none.
	PlaybackTarget func(playback.Destination) (playback.Target, error)
	// PlaybackTo is where a playback goes whose request names no target; by default
	// it has subscribers only.
	PlaybackTo playback.Destination
	// Accept, if it is set, takes the messages of POST /v1/ingest, which then answers
	// 202; the store has no part in that, and may be nil where Groups is GroupIngest
	// alone. A request is accepted as a whole: one message at fault refuses all.
	Accept Acceptor
	// NewID makes the ids of messages for Accept that have none; random by default.
	NewID func() string
	// Groups are the parts of the interface that this process serves; what belongs
	// to another one is answered 404. Nil means all.
	Groups []Group
	// LongPoll is for where an answer is sent as a whole, as by AWS Lambda: a
	// follower is answered with the events that there are as soon as there are any,
	// or with none after so long, and asks again behind them; nobody waits for a
	// position for longer either. 0, the default, follows for ever.
	LongPoll time.Duration
	// Eraser erases data subjects; nil where the store has no keys, and then requests
	// for it are refused.
	Eraser subject.Eraser
	// Stored is told of each commit that a request appended or repeated, with its
	// events; nobody by default. The context is the request's.
	Stored func(ctx context.Context, c annals.Commit, events []annals.Event)
}

type server struct {
	store *annals.Store
	opts  Options
	stats *stats
	// origin keeps pages of other sites from using a browser to append.
	origin   *http.CrossOriginProtection
	refusals access.Refusals
	shedding rate.Sometimes
	tree     *proof.Tree   // of the store's log
	proving  chan struct{} // one for each request that uses tree
	// following is how many follow the log at the moment.
	following atomic.Int64
}

// New makes a handler over store, which stays the caller's to close. It is safe
// for concurrent use.
func New(store *annals.Store, opts *Options) http.Handler {
	s := &server{store: store, origin: http.NewCrossOriginProtection(), shedding: rate.Sometimes{Interval: 10 * time.Second}, tree: proof.NewTree(store, nil), proving: make(chan struct{}, maxProving)}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Clock == nil {
		s.opts.Clock = time.Now
	}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.Default()
	}
	for _, d := range []*time.Duration{&s.opts.BodyTimeout, &s.opts.WriteTimeout} {
		if *d <= 0 {
			*d = 30 * time.Second
		}
	}
	if s.opts.NewID == nil {
		s.opts.NewID = newMessageID
	}
	if s.opts.Heartbeat <= 0 {
		s.opts.Heartbeat = 15 * time.Second
	}
	if s.opts.Projections != nil {
		s.opts.Collectors = append(slices.Clip(s.opts.Collectors), standing{s.opts.Projections, s.opts.Logger})
	}
	if s.opts.Admission != nil {
		s.opts.Collectors = append(slices.Clip(s.opts.Collectors), s.opts.Admission)
	}
	s.stats = newStats(store, s.opts.Collectors)
	return s
}

// untilEnding is a context for a request without an end of its own.
func (s *server) untilEnding(r *request) (context.Context, context.CancelFunc) {
	ctx, cancel := s.whileServing(r.Context())
	if s.opts.LongPoll <= 0 {
		return ctx, cancel
	}
	limited, stop := context.WithTimeout(ctx, s.opts.LongPoll)
	return limited, func() { stop(); cancel() }
}

// whileServing is ctx until the server ends.
func (s *server) whileServing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.opts.Ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// request is a matched request.
type request struct {
	*http.Request
	route  *route
	vars   []string // what the path's {names} stand for
	params url.Values
	target string // of an operator's action, where the path does not name it
}

// answered notes whether and how a response began, and gives the client a time
// to take it from then on.
type answered struct {
	http.ResponseWriter
	timeout  time.Duration
	status   int
	place    *place // lent while the client is slow to take the answer; may be nil
	erasable bool   // what is answered may be erased, and no cache is to keep it
}

func (a *answered) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		if a.erasable {
			a.Header().Set("Cache-Control", "no-store")
		}
		// A writer that can't have deadlines, as in a test, has no slow client.
		_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(a.timeout))
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.place != nil {
		a.place.wait()
		defer a.place.proceed()
	}
	return a.ResponseWriter.Write(b)
}

// FlushError is for http.ResponseController.
func (a *answered) FlushError() error {
	if a.place != nil {
		a.place.wait()
		defer a.place.proceed()
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, raw *http.Request) {
	a := &answered{ResponseWriter: w, timeout: s.opts.WriteTimeout, erasable: s.erasable()}
	r := &request{Request: raw}
	began := time.Now()
	SetSecurityHeaders(w.Header())
	if raw.Body != nil && raw.Body != http.NoBody {
		// Where nobody reads the body net/http does, before it answers.
		_ = http.NewResponseController(w).SetReadDeadline(began.Add(s.opts.BodyTimeout))
	}
	defer func() {
		cause := recover()
		if cause != nil && cause != http.ErrAbortHandler {
			s.opts.Logger.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", cause, "stack", string(debug.Stack()))
			if a.status == 0 {
				s.fail(a, r, NewProblem(errors.New("the server failed; its log says how")))
				cause = nil
			}
		}
		s.stats.request(r, a.status, time.Since(began))
		if cause != nil {
			panic(http.ErrAbortHandler) // a response that has begun is cut off
		}
	}()
	err := s.dispatch(a, r)
	if err == nil {
		return
	}
	if a.status != 0 {
		s.opts.Logger.Error("response cut off", "method", r.Method, "path", r.URL.Path, "error", err)
		panic(http.ErrAbortHandler)
	}
	RetryLater(a, err)
	var refused *refusedIngest
	p := NewProblem(err)
	if errors.As(err, &refused) {
		p.Results = refused.results
	}
	s.fail(a, r, p)
}

func (s *server) dispatch(w *answered, r *request) error {
	rt, vars, allowed, err := match(r.Method, r.URL)
	switch {
	case err != nil:
		return annals.Invalid("path", "is not validly percent-encoded")
	case rt == nil && len(allowed) > 0:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &annals.Error{Code: annals.CodeMethod, Message: r.Method + " is not allowed on " + r.URL.Path, Hint: "allowed: " + strings.Join(allowed, ", ")}
	case rt == nil:
		return &annals.Error{Code: annals.CodeNotFound, Message: "there is no resource " + strconv.Quote(r.URL.Path), Hint: "GET /openapi.json lists what there is"}
	}
	r.route, r.vars = rt, vars
	if !s.serves(rt.group) {
		return notServed(s.opts.Groups, rt, r.URL.Path)
	}
	if err := s.authorize(w, r); err != nil {
		s.noteRefusal(r, err)
		return err
	}
	if r.params, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return annals.Invalid("query", "is not validly percent-encoded")
	}
	for name := range r.params {
		if !slices.ContainsFunc(rt.query, func(p param) bool { return p.name == name }) {
			return annals.Invalid(name, "is no parameter of this resource")
		}
	}
	if err := s.origin.Check(r.Request); err != nil {
		err = &annals.Error{Code: annals.CodeForbidden, Err: err, Message: "a page of another site may not change this store", Hint: "send the request from a program, or from a page of this server"}
		s.noteRefusal(r, err)
		return err
	}
	leave, err := s.enter(w, r)
	if err != nil {
		return err
	}
	defer leave()
	return s.handle(w, r)
}

// handle does what a request asks for, and notes it if it is an operator's.
func (s *server) handle(w *answered, r *request) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = errors.New("the server failed, or the client left; how far it came is not known")
		}
		s.note(w, r, err)
	}()
	err = r.route.handle(s, w, r)
	returned = true
	return err
}

// plainBody refuses a body that would have to be unpacked.
func (r *request) plainBody() error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" {
		return &annals.Error{
			Code: annals.CodeUnsupportedType, Message: "a body encoded as " + strconv.Quote(encoding) + " is not accepted here", Hint: "send it as it is",
		}
	}
	return nil
}

// media returns the media type of the body after checking that the route takes
// it. A body without a type counts as JSON.
func (r *request) media() (string, error) {
	given := r.Header.Get("Content-Type")
	if err := r.plainBody(); err != nil || given == "" {
		return mediaJSON, err
	}
	media, params, err := mime.ParseMediaType(given)
	charset := params["charset"]
	if err == nil && slices.Contains(r.route.accepts, media) && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		return media, nil
	}
	return "", &annals.Error{
		Code:    annals.CodeUnsupportedType,
		Message: "a body of type " + strconv.Quote(given) + " is not accepted here",
		Hint:    "send one of " + strings.Join(r.route.accepts, ", ") + " in UTF-8, or a CloudEvent in binary mode, for example with curl -H 'Content-Type: application/json'",
	}
}
