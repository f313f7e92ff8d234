package deadletter_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/eb901187/annals/deadletter"
)

// Whatever the queue has is sent back to where it came from.
func Example() {
	retryAll := func(ctx context.Context, queueURL string) error {
		settings, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return err
		}
		box, err := deadletter.New(settings, queueURL, &deadletter.Options{Name: "orders", Bucket: "orders-bodies"})
		if err != nil {
			return err
		}
		var ids []string
		for letter, err := range box.List(ctx) {
			if err != nil {
				return err
			}
			ids = append(ids, letter.ID)
		}
		for letter, err := range box.Retry(ctx, ids) {
			if err != nil {
				fmt.Println(letter.ID, "stays:", err)
			}
		}
		return nil
	}
	err := retryAll(context.Background(), "annals-dead-letters")
	fmt.Println(err)
	// Output: annals: invalid: queue must be the URL of an SQS queue, and is "annals-dead-letters"
}
