package cdk_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"github.com/eb901187/annals/deploy/cdk"
)

// A stack with a store that is written by a queue and read over HTTP.
func ExampleNewAnnals() {
	dir, err := os.MkdirTemp("", "annals-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	zip := filepath.Join(dir, "annals.zip") // as make lambda builds it
	if err := os.WriteFile(zip, []byte("PK\x05\x06"), 0o644); err != nil {
		log.Fatal(err)
	}

	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &dir})
	stack := awscdk.NewStack(app, new("orders"), nil)
	annals, err := cdk.NewAnnals(stack, "Annals", cdk.Props{
		Name:  "orders",
		Zip:   zip,
		Roles: []cdk.Role{cdk.Track, cdk.Sequence, cdk.Query},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, role := range []cdk.Role{cdk.Track, cdk.Sequence, cdk.Query, cdk.Pump} {
		if function := annals.Functions[role]; function != nil {
			fmt.Println(*function.FunctionName())
		}
	}
	fmt.Println(annals.IngestStream != nil)
	// Output:
	// orders-track
	// orders-sequence
	// orders-query
	// false
}
