package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// addMapping checks a mapping, as AWS does when it is made, and starts it.
func (d *Deployment) addMapping(m Mapping) error {
	f := d.functions[m.Function]
	if f == nil {
		return fmt.Errorf("the function %q is not in the stack", m.Function)
	}
	if m.BatchSize < 1 {
		return fmt.Errorf("a batch size of %d", m.BatchSize)
	}
	fields := strings.SplitN(m.Source, ":", 6)
	if len(fields) != 6 {
		return fmt.Errorf("%q is no ARN", m.Source)
	}
	kind, resource := fields[2], fields[5]
	for _, action := range takes[kind] {
		d.gates[m.Function].policy.allows(need{kind + ":" + action, m.Source})
	}
	if m.OnFailure != "" {
		d.gates[m.Function].policy.allows(need{"sqs:SendMessage", m.OnFailure})
	}
	switch kind {
	case "sqs":
		return d.addQueueMapping(m, f, resource)
	case "kinesis":
		if len(m.Filters) > 0 {
			return fmt.Errorf("filters of Kinesis look into the data, which is not played here")
		}
		return d.addStreamMapping(m, f, &kinesisSource{
			service: d.backends.flows, stream: strings.TrimPrefix(resource, "stream/"), arn: m.Source, region: d.stack.region(),
			role: fmt.Sprintf("arn:aws:iam::%s:role/%s", account, m.Function),
		})
	case "dynamodb":
		table, _, _ := strings.Cut(strings.TrimPrefix(resource, "table/"), "/")
		if d.backends.streams[table] == "" {
			return fmt.Errorf("the table %s has no stream", table)
		}
		return d.addStreamMapping(m, f, &tableSource{service: d.backends.shards, stream: d.backends.streams[table], arn: m.Source, region: d.stack.region()})
	}
	return fmt.Errorf("sources of %s are not played here", kind)
}

// takes are the actions by which Lambda, in the name of the function's role, takes
// what a source has.
var takes = map[string][]string{
	"sqs":      {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"},
	"kinesis":  {"DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"},
	"dynamodb": {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"},
}

func (d *Deployment) addQueueMapping(m Mapping, f *deployed, queue string) error {
	place := slices.IndexFunc(d.stack.Queues, func(q Queue) bool { return q.Name == queue })
	if place < 0 {
		return fmt.Errorf("the queue %s is not in the stack", queue)
	}
	visibility := visibilityOf(d.stack.Queues[place])
	if visibility < f.timeout() {
		return fmt.Errorf("the queue's visibility timeout of %v is less than the function's timeout of %v", visibility, f.timeout())
	}
	if m.BatchSize > 10 && m.Window < time.Second {
		return fmt.Errorf("a batch of more than 10 messages needs a window of a second or more")
	}
	if len(m.Filters) > 0 || m.OnFailure != "" {
		return fmt.Errorf("filters and destinations of queues are not played here")
	}
	mapping := &queueMapping{
		Mapping: m, region: d.stack.region(), queue: d.backends.queues + "/" + account + "/" + queue, visibility: visibility,
		sqs: d.backends.sqs, invoke: f.invoke, clock: d.clock, patient: d.patient, note: d.note,
	}
	d.mappings.Go(func() { mapping.run(d.ctx) })
	return nil
}

func (d *Deployment) addStreamMapping(m Mapping, f *deployed, from source) error {
	if m.Position != "TRIM_HORIZON" && m.Position != "LATEST" {
		return fmt.Errorf("the starting position %q", m.Position)
	}
	mapping := &streamMapping{
		Mapping: m, arn: f.arn, source: from, invoke: f.invoke, clock: d.clock, patient: d.patient, note: d.note, discard: d.discard(m.OnFailure),
	}
	for _, pattern := range m.Filters {
		one, err := parseFilter(pattern)
		if err != nil {
			return err
		}
		mapping.filters = append(mapping.filters, one)
	}
	d.mappings.Go(func() { mapping.run(d.ctx) })
	return nil
}

// discard returns what sends failure records to a queue.
func (d *Deployment) discard(arn string) func(context.Context, []byte) {
	return func(ctx context.Context, body []byte) {
		queue := d.backends.queues + "/" + account + "/" + arn[strings.LastIndex(arn, ":")+1:]
		text := string(body)
		if _, err := d.backends.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &text}); err != nil && ctx.Err() == nil {
			d.note("the failure record %s got lost: %v", text, err)
		}
	}
}

// keep invokes the function of a schedule until the deployment ends.
func (d *Deployment) keep(s Schedule) {
	for wait(d.ctx, d.clock, s.Every) {
		d.work.Go(func() { d.invokeLater(d.functions[s.Function], d.tick(s)) })
	}
}

// Tick invokes the functions of a schedule at once, one after the other, and returns
// when all have ended.
func (d *Deployment) Tick(schedule string) error {
	var failed []error
	found := false
	for _, s := range d.stack.Schedules {
		if s.Name != schedule {
			continue
		}
		found = true
		result, err := d.functions[s.Function].invoke(d.ctx, d.tick(s))
		if err == nil && result.Failed {
			err = fmt.Errorf("the function %s failed: %s", s.Function, result.Payload)
		}
		failed = append(failed, err)
	}
	if !found {
		return fmt.Errorf("no schedule is called %s", schedule)
	}
	return errors.Join(failed...)
}

func (d *Deployment) tick(s Schedule) []byte {
	event, err := json.Marshal(map[string]any{
		"version": "0", "id": newID(), "detail-type": "Scheduled Event", "source": "aws.events", "account": account,
		"time": d.clock.Now().UTC().Format(time.RFC3339), "region": d.stack.region(), "detail": map[string]any{},
		"resources": []string{d.stack.ARN("events", "rule/"+s.Name)},
	})
	if err != nil {
		panic(err) // texts
	}
	return event
}
