package dynamoview_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/dynamoview"
)

func Example() {
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	views, err := dynamoview.Open(ctx, dynamodb.NewFromConfig(settings), "orders"+dynamoview.Suffix)
	if err != nil {
		fmt.Println(err) // says how annals init makes the table
		return
	}
	defer views.Close()
	for d, err := range views.Scan(ctx, "orders@1", view.Range{Prefix: "order-", Limit: 10}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Key, string(d.Data))
	}
}
