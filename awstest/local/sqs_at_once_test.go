package local_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// While some send, others receive and remove: each message is received, by one of
// them only.
func sqsLosesNothingAtOnce(t *testing.T, c *sqs.Client) {
	const senders, each = 4, 50
	queue := createQueue(t, c, "at-once", map[string]string{"VisibilityTimeout": "600"})
	var all sync.WaitGroup
	for n := range senders {
		all.Go(func() {
			for i := range each {
				body := fmt.Sprint(n, "-", i)
				if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var mu sync.Mutex
	received := map[string]int{}
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(received) == senders*each
	}
	for range senders {
		all.Go(func() {
			for empty := 0; !enough() && empty < 5; empty++ {
				for _, m := range receive(t, c, queue, 1) {
					empty = 0
					mu.Lock()
					received[*m.Body]++
					mu.Unlock()
					if _, err := c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if len(received) != senders*each {
		t.Errorf("%d messages were received of %d", len(received), senders*each)
	}
	for body, n := range received {
		if n != 1 {
			t.Errorf("%s was received %d times", body, n)
		}
	}
}
