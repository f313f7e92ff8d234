package lambda

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/kinesis"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// player works on playbacks. One that takes longer than an invocation is handed over to
// a next invocation of the same function, which it calls; so is one that a request has
// started. An invocation that dies leaves a playback that shows as interrupted after
// playback.Silence: resuming it, by any way there is, goes on.
type player struct {
	place
	env      *environment
	views    view.Store
	set      *projection.Set
	kinesis  *sdk.Client
	lambda   *awslambda.Client
	function string // the name of this function
	api      http.Handler
}

func newPlayback(ctx context.Context, e *environment) (handler, error) {
	at, err := e.openStore(ctx)
	if err != nil {
		return nil, err
	}
	p := &player{place: at, env: e, kinesis: sdk.NewFromConfig(e.aws), lambda: awslambda.NewFromConfig(e.aws), function: lambdacontext.FunctionName}
	if p.views, err = e.openViews(ctx); err != nil {
		return nil, errors.Join(err, at.store.Close())
	}
	if p.set, err = e.knownSet(ctx, at.store, p.views); err != nil {
		return nil, errors.Join(err, p.close())
	}
	opts := e.options(httpapi.GroupPlayback)
	opts.Projections, opts.Playbacks = p.set, p
	opts.PlaybackTarget, opts.PlaybackTo = p.target, playback.Destination{Kind: playback.KindKinesis, Name: e.config.PlaybackStream}
	p.api = httpapi.New(at.store, opts)
	return p, nil
}

func (p *player) close() error { return errors.Join(p.store.Close(), p.views.Close()) }

// A playbackCall is the payload of a direct invocation: a request as POST /v1/playbacks
// takes it, or the id of a playback to resume or stop. Continue is from an invocation
// of this function, whose Runner is After.
type playbackCall struct {
	httpapi.PlaybackRequest
	Resume   string `json:"resume,omitempty"`
	Stop     string `json:"stop,omitempty"`
	Reason   string `json:"reason,omitempty"` // of Stop
	Continue string `json:"continue,omitempty"`
	After    string `json:"after,omitempty"`
}

func parsePlaybackCall(payload []byte) (c playbackCall, err error) {
	if err := annals.CheckJSON(payload); err != nil {
		return c, err
	}
	in := json.NewDecoder(bytes.NewReader(payload))
	in.DisallowUnknownFields()
	if err := in.Decode(&c); err != nil && strings.Contains(err.Error(), ",string") {
		return c, annals.Invalid("selection", `has a number as from or to: positions are strings, such as "7"`)
	} else if err != nil {
		return c, annals.Invalid("payload", "is no call of the role playback: %s", err)
	}
	whole, other := c, 0
	for _, id := range []*string{&whole.Resume, &whole.Stop, &whole.Continue} {
		if *id != "" {
			*id, other = "", other+1
		}
	}
	whole.Reason, whole.After = "", ""
	rest, err := json.Marshal(whole)
	if err != nil {
		return c, err
	}
	nothing, err := json.Marshal(playbackCall{})
	if err != nil {
		return c, err
	}
	if other > 1 || other == 1 && !bytes.Equal(rest, nothing) {
		return c, annals.Invalid("payload", "must be one of: a request with a selection, {resume}, {stop, reason}")
	}
	if c.Reason != "" && c.Stop == "" || (c.After == "") != (c.Continue == "") {
		return c, annals.Invalid("payload", "has a reason without stop, or one of continue and after without the other")
	}
	return c, nil
}

type requestKey struct{}

func (p *player) handle(ctx context.Context, in *invocation) (any, error) {
	ctx = context.WithValue(ctx, requestKey{}, in.request)
	if in.kind == fromHTTP {
		return serveHTTP(ctx, in, p.api)
	}
	call, err := parsePlaybackCall(in.payload)
	if err != nil {
		return nil, err
	}
	if call.Stop != "" {
		return playback.Stop(ctx, p.store, call.Stop, call.Reason, p.options(ctx))
	}
	run, id, err := p.begin(ctx, in, &call)
	if errors.Is(err, playback.ErrNotOwner) {
		in.report.log.Info("the playback is not ours to go on with", "playback", id, "error", err)
		return playback.Show(ctx, p.store, id, p.options(ctx))
	}
	if err != nil {
		return nil, err
	}
	return p.work(ctx, in, run)
}

// options name the Runner after the invocation, whose id stays the same when Lambda
// repeats it.
func (p *player) options(ctx context.Context) *playback.Options {
	request, _ := ctx.Value(requestKey{}).(string)
	return &playback.Options{Clock: p.env.clock, Runner: p.function + "/" + request}
}

// begin makes the Run that a call is about.
func (p *player) begin(ctx context.Context, in *invocation, call *playbackCall) (*playback.Run, string, error) {
	opts := p.options(ctx)
	switch {
	case call.Resume != "":
		target, err := p.targetOf(ctx, call.Resume)
		if err != nil {
			return nil, call.Resume, err
		}
		run, err := playback.Resume(ctx, p.store, call.Resume, target, opts)
		return run, call.Resume, err
	case call.Continue != "":
		return p.goOn(ctx, call.Continue, call.After)
	}
	if call.Target == (playback.Destination{}) {
		call.Target.Kind = playback.KindKinesis
	}
	target, err := p.target(call.Target)
	if err != nil {
		return nil, "", err
	}
	// Without an id of the caller's, a repetition of the call finds its own playback.
	opts.ID, opts.Rate = cmp.Or(call.ID, in.request), call.Rate
	run, err := playback.Start(ctx, p.store, call.Selection, target, opts)
	if annals.CodeOf(err) == annals.CodeConflict {
		if begun, failed := playback.Show(ctx, p.store, opts.ID, opts); failed == nil && begun.By == opts.Runner {
			return p.goOn(ctx, opts.ID, opts.Runner)
		}
	}
	return run, opts.ID, err
}

func (p *player) goOn(ctx context.Context, id, after string) (*playback.Run, string, error) {
	target, err := p.targetOf(ctx, id)
	if err != nil {
		return nil, id, err
	}
	run, err := playback.Continue(ctx, p.store, id, after, target, p.options(ctx))
	return run, id, err
}

// target makes what a playback is sent to by this function; nil for subscribers.
func (p *player) target(to playback.Destination) (playback.Target, error) {
	switch to.Kind {
	case "":
		return nil, nil
	case playback.KindKinesis:
		if stream := p.env.config.PlaybackStream; to.Name != "" && to.Name != stream {
			return nil, annals.Invalid("target", "must be %s: this function sends to no other Kinesis stream than %s", stream, stream)
		}
		return kinesis.Target(p.kinesis, p.env.config.PlaybackStream, nil), nil
	case playback.KindStream:
		return playback.ToStream(to.Name), nil
	case playback.KindProjection:
		return httpapi.IntoProjection(p.set, to.Name), nil
	}
	return nil, annals.Invalid("target", "of kind %.40q is none of this function: it must be kinesis, stream or projection", to.Kind)
}

// targetOf is the target of a playback that is recorded.
func (p *player) targetOf(ctx context.Context, id string) (playback.Target, error) {
	recorded, err := playback.Show(ctx, p.store, id, p.options(ctx))
	if err != nil {
		return nil, err
	}
	return p.target(recorded.Target)
}

// Of an invocation's time, at most so much is kept for handing over.
const (
	handOver      = 10 * time.Second
	handOverShare = 5 // one in so many
)

// work sends until the playback ends, or the time of the invocation does.
func (p *player) work(ctx context.Context, in *invocation, run *playback.Run) (any, error) {
	before := run.Playback()
	working, cancel := ctx, context.CancelFunc(func() {})
	if deadline, limited := ctx.Deadline(); limited {
		working, cancel = context.WithDeadlineCause(ctx, deadline.Add(-min(handOver, time.Until(deadline)/handOverShare)), playback.ErrHandOver)
	}
	defer cancel()
	done, err := p.run(working, run)
	in.report.count("Events", int(done.Count-before.Count))
	log := in.report.log.With("playback", done.ID, "position", done.Position, "end", done.End)
	switch {
	case err == nil:
		log.Info("the playback has finished")
		return done, nil
	case errors.Is(err, playback.ErrNotOwner):
		log.Info("somebody else has stopped or resumed the playback")
		return playback.Show(ctx, p.store, done.ID, p.options(ctx))
	case errors.Is(err, playback.ErrHandOver) && done.Position > before.Position:
		log.Info("the playback goes on in another invocation")
		return done, p.next(ctx, &done)
	case errors.Is(err, playback.ErrHandOver):
		// It would go on so for ever.
		err = &annals.Error{Code: annals.CodeTimeout, Message: "a whole invocation went by without progress", Hint: "give the function more time"}
		_, stopping := playback.Stop(ctx, p.store, done.ID, err.Error(), p.options(ctx))
		err = errors.Join(err, stopping)
	}
	return nil, fmt.Errorf("playback %s ended at position %d of %d, and {\"resume\":%q} goes on: %w", done.ID, done.Position, done.End, done.ID, err)
}

// run runs the projections meanwhile where the playback builds a part of one.
func (p *player) run(ctx context.Context, run *playback.Run) (playback.Playback, error) {
	if run.Playback().Target.Kind != playback.KindProjection {
		return run.Run(ctx)
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.set.Run(keeping) // it ends by stop alone
	}()
	defer func() {
		stop()
		<-ended // Lambda would freeze it in the middle
	}()
	return run.Run(ctx)
}

// next invokes this function to go on with a playback.
func (p *player) next(ctx context.Context, at *playback.Playback) error {
	payload, err := json.Marshal(map[string]string{"continue": at.ID, "after": at.Runner})
	if err == nil {
		_, err = p.lambda.Invoke(ctx, &awslambda.InvokeInput{FunctionName: &p.function, InvocationType: types.InvocationTypeEvent, Payload: payload})
	}
	if err == nil {
		return nil
	}
	return &annals.Error{
		Code: annals.CodeUnavailable, Err: err, Message: fmt.Sprintf("playback %s stands at position %d of %d, and the function %s could not be invoked to go on", at.ID, at.Position, at.End, p.function),
		Hint: "resume the playback once the function may be invoked",
	}
}

// Start implements httpapi.PlaybackRunner: another invocation does the work.
func (p *player) Start(ctx context.Context, selection playback.Selection, target playback.Target, id string, rate float64) (playback.Playback, error) {
	opts := p.options(ctx)
	opts.ID, opts.Rate = id, rate
	return p.leave(ctx)(playback.Start(ctx, p.store, selection, target, opts))
}

// Resume implements httpapi.PlaybackRunner: another invocation does the work.
func (p *player) Resume(ctx context.Context, id string, target playback.Target) (playback.Playback, error) {
	return p.leave(ctx)(playback.Resume(ctx, p.store, id, target, p.options(ctx)))
}

// Stop implements httpapi.PlaybackRunner.
func (p *player) Stop(ctx context.Context, id, reason string) (playback.Playback, error) {
	return playback.Stop(ctx, p.store, id, reason, p.options(ctx))
}

// leave leaves a Run to another invocation.
func (p *player) leave(ctx context.Context) func(*playback.Run, error) (playback.Playback, error) {
	return func(run *playback.Run, err error) (playback.Playback, error) {
		if err != nil {
			return playback.Playback{}, err
		}
		begun := run.Playback()
		if err := p.next(ctx, &begun); err != nil {
			_, stopping := p.Stop(ctx, begun.ID, "no invocation could be made for it")
			return begun, errors.Join(err, stopping)
		}
		return begun, nil
	}
}
