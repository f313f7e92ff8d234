package lambda

import (
	"context"
	"errors"
	"net/http"

	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/ingest"
	"github.com/eb901187/annals/kinesis"
)

// load puts the messages of POST /v1/ingest on the event stream, for pump to store.
//
// Lambda takes requests up to 6 MB, a third less where API Gateway hands the body on in
// base64. A message that does not fit in a record of Kinesis is refused.
type load struct{ api http.Handler }

func newLoad(_ context.Context, e *environment) (handler, error) {
	opts := e.options(httpapi.GroupIngest)
	opts.Accept = onStream{kinesis.NewWriter(sdk.NewFromConfig(e.aws), e.config.IngestStream, nil)}
	return &load{httpapi.New(nil, opts)}, nil
}

func (l *load) handle(ctx context.Context, in *invocation) (any, error) {
	return serveHTTP(ctx, in, l.api)
}

func (l *load) close() error { return nil }

// onStream accepts messages by putting them on a Kinesis stream.
type onStream struct{ writer *kinesis.Writer }

// Check implements httpapi.Acceptor.
func (s onStream) Check(e *annals.Event) error { return kinesis.Check(e) }

// Accept implements httpapi.Acceptor.
func (s onStream) Accept(ctx context.Context, events []annals.Event) ([]ingest.Status, error) {
	err := s.writer.Put(ctx, events)
	statuses := make([]ingest.Status, len(events))
	var failed *kinesis.PutError
	accepted := 0
	for i := range statuses {
		statuses[i] = httpapi.NotAccepted
		switch {
		case err == nil, errors.As(err, &failed) && failed.Outcomes[i] == kinesis.Accepted:
			statuses[i] = httpapi.Accepted
			accepted++
		case failed != nil && failed.Outcomes[i] == kinesis.Unknown:
			statuses[i] = httpapi.Unknown
		}
	}
	if x, is := ctx.Value(exchangeKey{}).(*exchange); is {
		x.report.count("Accepted", accepted)
		for i := range events {
			x.report.belongs(events[i].Correlation)
		}
	}
	return statuses, err
}
