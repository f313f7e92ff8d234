package lambda_test

import (
	"errors"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/lambda"
)

// A function whose environment is wrong says all of it at once.
func ExampleReadConfig() {
	_, err := lambda.ReadConfig([]string{"ANNALS_ROLE=track", "ANNALS_STORE=dynamodb://orders?bucket=orders-bucket", "ANNALS_QUEU=orders-event-queue"})
	var invalid *annals.InvalidError
	if errors.As(err, &invalid) {
		for _, v := range invalid.Violations[:2] {
			fmt.Println(v.Field, v.Message)
		}
		fmt.Println(invalid.Violations[2].Field)
	}
	// Output:
	// ANNALS_QUEUE is not set, and role track needs it: set it to the name of the SQS queue
	// ANNALS_DEAD_LETTERS is not set, and role track needs it: set it to the URL of the SQS queue of dead letters
	// ANNALS_QUEU
}
