// Package cdk is an AWS CDK construct that makes all that Annals needs on AWS:
// tables, a bucket, streams, queues, the functions and what invokes them, an HTTP
// API, alarms and a dashboard.
//
//	app := awscdk.NewApp(nil)
//	stack := awscdk.NewStack(app, new("orders"), nil)
//	_, err := cdk.NewAnnals(stack, "Annals", cdk.Props{Zip: "dist/annals-lambda-arm64.zip"})
//
// The program in app/ is such an app for the cdk command.
//
// Nothing in it runs code of its own while it is deployed: there are no custom
// resources, and no functions but those of Annals. Each function may call what
// its role needs and no more; grants.go lists it. Nobody may update or delete an
// item of the events table.
//
// The Terraform module in deploy/terraform makes the same.
package cdk
