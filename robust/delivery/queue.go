package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

// A Message is one of a Queue.
type Message struct {
	ID       string
	Body     string
	Received int // how often
}

// A Queue is a standard queue of SQS, with what Lambda does to hand it to a function.
type Queue struct {
	ARN    string
	Random *rand.Rand
	Odds   Odds
	// MaxReceive is how often a message is received before it is set aside; 0 never sets
	// one aside.
	MaxReceive int
	// Aside are messages that were received too often, with their ids.
	Aside []Message

	waiting []Message
	sent    int
}

// Send puts a body into the queue and returns the message's id.
func (q *Queue) Send(body string) (id string) {
	q.sent++
	id = fmt.Sprintf("%08x-message-%d", q.Random.Uint32(), q.sent)
	q.waiting = append(q.waiting, Message{ID: id, Body: body})
	return id
}

// Waiting is how many messages are to be delivered.
func (q *Queue) Waiting() int { return len(q.waiting) }

// Deliver hands a batch of up to most messages to a function, in no order. An error says
// that the function's answer is none that Lambda takes; that the function fails is none.
func (q *Queue) Deliver(most int, invoke Invoke) error {
	q.Random.Shuffle(len(q.waiting), func(i, j int) { q.waiting[i], q.waiting[j] = q.waiting[j], q.waiting[i] })
	n := min(len(q.waiting), 1+q.Random.IntN(most))
	batch := q.waiting[:n]
	var records []map[string]any
	for i := range batch {
		batch[i].Received++
		records = append(records, q.record(&batch[i]))
	}
	text := payload(records)
	if q.Odds.happens(q.Random, q.Odds.Twice) {
		// The first instance was slower than the time for which its messages were hidden:
		// nobody hears what it answers.
		_, _ = invoke(text)
	}
	answer, err := invoke(text)
	var failed []string
	if err == nil {
		if failed, err = failures(answer); err != nil {
			return err
		}
		for _, id := range failed {
			if !slices.ContainsFunc(batch, func(m Message) bool { return m.ID == id }) {
				return fmt.Errorf("delivery: the answer names %s, which was not in the batch: all of it would fail", id)
			}
		}
	}
	q.settle(n, func(m Message) bool { return err != nil || slices.Contains(failed, m.ID) })
	return nil
}

// settle removes what of the first n messages has not failed, and sets aside what was
// received too often.
func (q *Queue) settle(n int, failed func(Message) bool) {
	kept := slices.Clone(q.waiting[n:])
	for _, m := range q.waiting[:n] {
		switch {
		case !failed(m) && !q.Odds.happens(q.Random, q.Odds.Again):
		case q.MaxReceive > 0 && m.Received >= q.MaxReceive:
			q.Aside = append(q.Aside, m)
		default:
			kept = append(kept, m)
		}
	}
	q.waiting = kept
}

func (q *Queue) record(m *Message) map[string]any {
	return map[string]any{
		"messageId": m.ID, "body": m.Body, "eventSource": "aws:sqs", "eventSourceARN": q.ARN, "receiptHandle": "handle", "awsRegion": "us-east-1",
		"attributes":        map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.Received), "SentTimestamp": "1588363200000"},
		"messageAttributes": map[string]any{},
	}
}
