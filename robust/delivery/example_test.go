package delivery_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/eb901187/annals/robust/delivery"
)

// A function that fails once gets the batch again.
func Example() {
	queue := &delivery.Queue{ARN: "arn:aws:sqs:us-east-1:123456789012:orders", Random: rand.New(rand.NewPCG(1, 1))}
	queue.Send("placed")
	failing := true
	for queue.Waiting() > 0 {
		err := queue.Deliver(10, func([]byte) ([]byte, error) {
			if failing {
				failing = false
				return nil, fmt.Errorf("the instance ended")
			}
			return []byte(`{"batchItemFailures":[]}`), nil
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(queue.Waiting(), "left")
	}
	// Output:
	// 1 left
	// 0 left
}
