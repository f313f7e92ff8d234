package delivery_test

import (
	"bytes"
	"context"
	"crypto/md5" // what SQS answers with
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/lambda"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view"
)

const (
	queueARN  = "arn:aws:sqs:us-east-1:123456789012:events"
	streamARN = "arn:aws:kinesis:us-east-1:123456789012:stream/ingest"
	letterURL = "https://sqs.us-east-1.amazonaws.com/123456789012/letters"
)

// A letter is what came into the queue of dead letters.
type letter struct{ body, reason string }

// A place is what functions work on, and what outlives them.
type place struct {
	driver  annals.Driver
	views   view.Store
	mu      sync.Mutex
	letters []letter
	objects map[string]string
	torn    bool // a planted bug: documents are committed before what is said of them
}

var errKilled = errors.New("the instance was ended")

// An instance is one environment of a function. It ends at a step: with the effect of
// that step, or before it. Nothing that it does afterwards has any effect.
type instance struct {
	place *place
	at    int  // the step that it ends at, from 1; 0 for none
	after bool // that step has its effect
	vague func() int
	end   context.CancelFunc

	mu    sync.Mutex
	steps int
	ended bool
}

// step does one thing that others can see or that tells the instance what they did.
func (i *instance) step(do func() error) error {
	i.mu.Lock()
	if i.ended {
		i.mu.Unlock()
		return errKilled
	}
	i.steps++
	ends := i.steps == i.at
	if i.ended = ends; ends {
		defer i.end()
	}
	i.mu.Unlock()
	if ends && !i.after {
		return errKilled
	}
	if err := do(); err != nil || !ends {
		return err
	}
	return errKilled
}

// A storeOf is the place's driver as an instance reaches it.
type storeOf struct{ *instance }

func (s storeOf) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (c annals.Commit, err error) {
	err = s.step(func() error {
		switch s.vague() {
		case 1:
			return annals.ErrUnknownOutcome // and it was not stored
		case 2:
			return &annals.Error{Code: annals.CodeUnavailable, Message: "too many requests"}
		case 3:
			if c, err = s.place.driver.Append(ctx, stream, expected, events); err == nil {
				return annals.ErrUnknownOutcome
			}
			return err
		}
		c, err = s.place.driver.Append(ctx, stream, expected, events)
		return err
	})
	return c, err
}

func (s storeOf) read(ctx context.Context, events func() iter.Seq2[annals.Event, error]) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		if err := s.step(func() error { return ctx.Err() }); err != nil {
			yield(annals.Event{}, err)
			return
		}
		events()(yield)
	}
}

func (s storeOf) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return s.read(ctx, func() iter.Seq2[annals.Event, error] { return s.place.driver.Stream(ctx, stream, from, to, backward) })
}

func (s storeOf) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	return s.read(ctx, func() iter.Seq2[annals.Event, error] { return s.place.driver.Log(ctx, q) })
}

func (s storeOf) End(ctx context.Context, after int64) (end int64, err error) {
	err = s.step(func() error {
		end, err = s.place.driver.End(ctx, after)
		return err
	})
	return end, err
}

func (storeOf) Close() error { return nil }

const consumersSpace = "annals.consumers" // where checkpoints are

// A viewsOf is the place's views as an instance reaches them.
type viewsOf struct {
	view.Store
	*instance
}

func (v viewsOf) Get(ctx context.Context, space string, keys ...string) (docs map[string]view.Document, err error) {
	err = v.step(func() error {
		docs, err = v.Store.Get(ctx, space, keys...)
		return err
	})
	return docs, err
}

func (v viewsOf) Commit(ctx context.Context, c view.Change) error {
	if v.place.torn && len(c.Put) > 1 {
		documents := slices.DeleteFunc(slices.Clone(c.Put), func(p view.Put) bool { return p.Space == consumersSpace })
		if err := v.step(func() error { return v.Store.Commit(ctx, view.Change{Put: documents}) }); err != nil {
			return err
		}
	}
	return v.step(func() error { return v.Store.Commit(ctx, c) })
}

func (viewsOf) Close() error { return nil }

// Do implements aws.HTTPClient: the queue of dead letters, and the bucket beside it.
func (i *instance) Do(r *http.Request) (answer *http.Response, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	text := ""
	err = i.step(func() (err error) {
		text, err = i.place.serve(r, body)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (p *place) serve(r *http.Request, body []byte) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method == http.MethodPut {
		p.objects["bodies"+r.URL.Path] = string(body)
		return "", nil
	}
	var sent struct {
		MessageBody       string
		MessageAttributes map[string]struct{ StringValue string }
	}
	if err := json.Unmarshal(body, &sent); err != nil || r.Header.Get("X-Amz-Target") != "AmazonSQS.SendMessage" {
		return "", fmt.Errorf("the test plays no %s %s: %w", r.Method, r.Header.Get("X-Amz-Target"), err)
	}
	l := letter{sent.MessageBody, sent.MessageAttributes["annals-reason"].StringValue}
	var pointer struct{ AnnalsBody string }
	if json.Unmarshal([]byte(l.body), &pointer) == nil && pointer.AnnalsBody != "" {
		l.body = p.objects[strings.TrimPrefix(pointer.AnnalsBody, "s3://")]
	}
	p.letters = append(p.letters, l)
	sum := md5.Sum([]byte(sent.MessageBody))
	return fmt.Sprintf(`{"MessageId":"letter-%d","MD5OfMessageBody":%q}`, len(p.letters), hex.EncodeToString(sum[:])), nil
}

// A counted document says how often and in which order events of a stream were folded.
type counted struct{ IDs []string }

const arrived = "T" // the type of events

var projections = []*projection.Projection{projection.Documents("counted", "1", annals.Query{Types: []string{arrived}}, projection.ByStream,
	func(doc *counted, m *consumer.Message) error {
		doc.IDs = append(doc.IDs, m.ID)
		return nil
	})}

// answering appends one event for each that arrived.
func answering(ctx context.Context, t *reaction.Turn) error {
	_, err := t.Append(ctx, "done-"+t.Stream, annals.Any, annals.Event{Type: "D", Data: []byte(`"` + t.ID + `"`)})
	return err
}

// vagueOutcomes makes one append in so many unclear: 0 is none, and the others are of
// storeOf.
func vagueOutcomes(random *rand.Rand, oneIn int) func() int {
	var mu sync.Mutex
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		if oneIn == 0 || random.IntN(oneIn) != 0 {
			return 0
		}
		return 1 + random.IntN(3)
	}
}

// invoke starts an instance for one invocation of a role and throws it away. It returns
// how many steps that took.
func (p *place) invoke(role lambda.Role, handle reaction.Handler, i *instance, payload []byte) (answer []byte, steps int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	i.place, i.end = p, cancel
	config := lambda.Config{
		Role: role, Store: dynamo.Address{Name: "events", Region: "us-east-1", Bucket: "bodies"}, IngestStream: "ingest", Queue: "events",
		DeadLetters: letterURL, Namespace: "Annals", Projections: "/opt/projections", LogLevel: slog.LevelError,
	}
	program := &lambda.Program{Projections: projections, Reactors: func(_ context.Context, w *lambda.Workplace) ([]lambda.Reactor, error) {
		r, err := reaction.New(w.Store, w.Views, "answering", annals.Query{Types: []string{arrived}}, handle, &reaction.Options{Consumer: w.Consumer})
		return []lambda.Reactor{r}, err
	}}
	f, err := lambda.New(ctx, config, program, &lambda.Options{
		AWS: &aws.Config{
			Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), HTTPClient: i,
			Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		},
		Output: io.Discard,
		Store:  func(context.Context) (*annals.Store, error) { return annals.New(storeOf{i}, nil), nil },
		Views:  func(context.Context) (view.Store, error) { return viewsOf{p.views, i}, nil },
	})
	if err == nil {
		answer, err = f.Invoke(ctx, payload)
		err = errors.Join(err, f.Close())
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		err = errKilled // nobody hears what it answers
	}
	return bytes.Clone(answer), i.steps, err
}
