// Command app is the CDK app that deploys Annals: a stack with one construct
// whose props come from the context, as in
//
//	npx aws-cdk@2.1148.1 deploy -c name=orders -c alarmTopicArn=arn:aws:sns:…
//
// README.md lists the keys of the context.
package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/eb901187/annals/deploy/cdk"
)

func main() {
	defer jsii.Close()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: new(false)})
	props, err := propsOf(app.Node())
	if err != nil {
		return err
	}
	stack := awscdk.NewStack(app, new("annals"), &awscdk.StackProps{
		StackName: new(stackName(props.Name)), Description: new("Annals: an event store, and the functions that serve it"),
	})
	if _, err := cdk.NewAnnals(stack, "Annals", props); err != nil {
		return err
	}
	app.Synth(nil)
	return nil
}

var stackNames = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// stackName is that of a store's stack: its own name, or one that CloudFormation
// takes, as it allows no underscores and no digit in front.
func stackName(store string) string {
	if stackNames.MatchString(store) {
		return store
	}
	return "annals-" + strings.ReplaceAll(store, "_", "-")
}
