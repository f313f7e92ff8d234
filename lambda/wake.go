package lambda

import (
	"context"
	"net/http"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// A waker catches up with the log when it is woken. A wake-up carries no data: what
// is handled comes from the log.
type waker struct {
	place
	env     *environment
	table   string // whose stream wakes it
	stream  string // of Kinesis, that wakes it; empty for none
	catchUp func(ctx context.Context) error
	api     http.Handler // nil for none
	closing func() error
}

func (w *waker) close() error { return w.closing() }

// caughtUp is the answer to who calls a waker directly.
type caughtUp struct {
	// CaughtUp is false where time was over first: another call goes on. It is false
	// for a schedule, too, where something can't go on.
	CaughtUp bool `json:"caughtUp"`
}

func (w *waker) handle(ctx context.Context, in *invocation) (any, error) {
	if in.kind == fromHTTP {
		return w.operate(ctx, in)
	}
	last, err := w.woken(in)
	if err != nil {
		return nil, err
	}
	switch err = w.catchUp(ctx); {
	case ctx.Err() != nil || consumer.Waits(err):
		in.report.count("Unfinished", 1)
		in.report.log.Info("there is more to do than fits into this invocation", "error", err)
		if last == "" {
			return caughtUp{}, nil
		}
		return batchAnswer{Failures: []batchFailure{{last}}}, nil
	case err != nil && in.kind == fromCaller:
		in.report.count("Stalled", 1)
		return nil, err
	case err != nil:
		// The same wake-up would not mend it, and would come again at once: the
		// metric raises an alarm instead.
		in.report.count("Stalled", 1)
		in.report.log.Error("not all could catch up with the log", "error", err, "code", annals.CodeOf(err))
	}
	if last == "" {
		return caughtUp{err == nil}, nil
	}
	return batchAnswer{Failures: []batchFailure{}}, nil
}

// woken checks what the function was woken by, and returns the number of the last
// record, which Lambda sends again at once if it is reported as failed; empty where
// the wake-up has none.
func (w *waker) woken(in *invocation) (last string, err error) {
	source := map[kind]string{fromDynamoDB: w.table, fromKinesis: w.stream}[in.kind]
	if source == "" {
		if in.kind == fromKinesis {
			return "", annals.Invalid("ANNALS_PLAYBACK_STREAM", "is not set, and the function was woken by a Kinesis stream")
		}
		return "", nil
	}
	records, err := streamRecords(in.payload)
	if err != nil {
		return "", err
	}
	for i := range records {
		if err := records[i].from(in.kind, source); err != nil {
			return "", err
		}
		in.report.most("LagMilliseconds", records[i].age(w.env.clock()).Milliseconds())
		last = records[i].sequence()
	}
	in.report.count("Received", len(records))
	return last, nil
}

// operateTime is how long a request to change something may take until it is
// answered, so that what it asks for is begun at once.
const operateTime = 20 * time.Second

// operate answers a request, and catches up then, as the request may have asked for
// that. What takes longer goes on at the next wake-up.
func (w *waker) operate(ctx context.Context, in *invocation) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, operateTime)
	defer cancel()
	answer, err := serveHTTP(ctx, in, w.api)
	if err != nil {
		return nil, err
	}
	if failed := w.catchUp(ctx); failed != nil {
		in.report.log.Warn("what was asked for goes on at the next wake-up", "error", failed)
	}
	return answer, nil
}
