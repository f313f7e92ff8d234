package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/view"
)

// Options changes how a Function works; nil means the defaults.
type Options struct {
	// AWS is the configuration of AWS's services; by default that of the
	// environment, with connections that suit many requests at once.
	AWS *aws.Config
	// Clock is the machine's by default.
	Clock func() time.Time
	// Store and Views open what ANNALS_STORE names, where it is kept in another way than
	// by packages dynamo and dynamoview, as on one machine; the Function closes both.
	// Role sequence works on tables and takes no Store.
	Store func(ctx context.Context) (*annals.Store, error)
	Views func(ctx context.Context) (view.Store, error)
	// Output gets the log and the metrics, a line of JSON each; os.Stdout by
	// default.
	Output io.Writer
}

// A Function plays one role. It implements the Handler of aws-lambda-go. Calls of
// Invoke wait for each other, as Lambda makes one at a time.
type Function struct {
	env     *environment
	handler handler
	out     *lines
	tracing *tracing

	mu sync.Mutex
}

// New makes the function that config describes, and opens what its role needs, so
// that a bad configuration fails before the first invocation. A nil program adds
// nothing. Close it.
func New(ctx context.Context, config Config, program *Program, opts *Options) (*Function, error) {
	if !config.Role.Valid() {
		return nil, annals.Invalid(variableRole, "must be one of %s, and is %q", roleNames(), config.Role)
	}
	return newFunction(ctx, config, program, opts, makers[config.Role])
}

func newFunction(ctx context.Context, config Config, program *Program, opts *Options, makes func(context.Context, *environment) (handler, error)) (*Function, error) {
	if opts == nil {
		opts = &Options{}
	}
	f := &Function{out: &lines{to: opts.Output}, env: &environment{config: config, clock: opts.Clock, otherStore: opts.Store, otherViews: opts.Views}}
	if opts.Output == nil {
		f.out.to = os.Stdout
	}
	if opts.Clock == nil {
		f.env.clock = time.Now
	}
	if program != nil {
		f.env.program = *program
	}
	f.env.logger = newLogger(f.out, config.LogLevel).With("role", config.Role)
	var err error
	if opts.AWS != nil {
		f.env.aws = *opts.AWS
	} else if f.env.aws, err = dynamo.Configuration(ctx, config.Store); err != nil {
		return nil, err
	}
	if f.tracing, err = startTracing(ctx, &config, f.env.clock); err != nil {
		return nil, err
	}
	f.env.tracer = f.tracing.tracer
	if f.handler, err = makes(ctx, f.env); err != nil {
		return nil, errors.Join(err, f.tracing.close(ctx))
	}
	return f, nil
}

// newLogger writes the log as lines of JSON, of a length that CloudWatch takes.
func newLogger(to io.Writer, level slog.Level) *slog.Logger {
	clip := func(_ []string, a slog.Attr) slog.Attr {
		switch v := a.Value.Any().(type) {
		case string:
			a.Value = slog.StringValue(clipped(v, maxValue))
		case error:
			a.Value = slog.StringValue(clipped(v.Error(), maxValue))
		}
		return a
	}
	return slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level, ReplaceAttr: clip}))
}

// Close releases what the function opened, after the invocation under way.
func (f *Function) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.handler.close(), f.tracing.close(context.Background()))
}

// Invoke works on one event of Lambda and returns its answer. An error means that
// the event as a whole was not worked on; Lambda tries it again as its source's
// settings say.
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := &invocation{payload: payload}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		in.request = lc.AwsRequestID
	}
	in.report = newReport(f.env.logger.With("requestId", in.request), f.env.tracer, f.env.clock)
	working, cancel := beforeDeadline(ctx, f.env.config.Role.reserve())
	defer cancel()
	working, span := f.env.tracer.Start(working, string(f.env.config.Role), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("faas.invocation_id", in.request)))
	answer, err := f.answer(working, in)
	in.report.count("Invocations", 1)
	if err != nil {
		in.report.count("Errors", 1)
		in.report.log.Error("the invocation failed", "error", err, "code", annals.CodeOf(err))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
	f.finish(ctx, in)
	return answer, err
}

// answer calls the handler. A panic of it is an error of this invocation only.
func (f *Function) answer(ctx context.Context, in *invocation) (answer []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			in.report.log.Error("the handler panicked", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = &annals.Error{Code: annals.CodeInternal, Message: fmt.Sprintf("the handler panicked: %v", cause), Hint: "the function's log has the stack"}
		}
	}()
	if in.kind, err = kindOf(f.env.config.Role, in.payload); err != nil {
		return nil, err
	}
	given, err := f.handler.handle(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(given)
}

// flushTime is how long spans may take to be sent at the end of an invocation.
const flushTime = time.Second

func (f *Function) finish(ctx context.Context, in *invocation) {
	in.report.most("DurationMilliseconds", f.env.clock().Sub(in.report.began).Milliseconds())
	// A log that can't be written has nobody to tell.
	_, _ = f.out.Write(metricsLine(f.env.config.Namespace, f.env.config.Role, in.request, f.env.clock(), in.report))
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	if err := f.tracing.flush(ctx); err != nil {
		in.report.log.Warn("spans were not sent", "error", err, "to", f.tracing.to)
	}
}

// reserveShare bounds what is kept of an invocation's time: one part in so many.
const reserveShare = 4

// reserve is how much of an invocation's time is kept for its end: an append whose
// outcome is unknown is looked for up to 2 s behind its end, and what an outside call
// came to is noted up to 15 s behind it.
func (r Role) reserve() time.Duration {
	if r == Write || r == React {
		return 16 * time.Second
	}
	return 2500 * time.Millisecond
}

// beforeDeadline is a context that ends while there is time left to answer.
func beforeDeadline(ctx context.Context, reserve time.Duration) (context.Context, context.CancelFunc) {
	deadline, limited := ctx.Deadline()
	if !limited {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	return context.WithDeadline(ctx, deadline.Add(-min(reserve, left/reserveShare)))
}
