// Package local plays AWS on one machine for end-to-end tests.
//
// SQS and Kinesis start stand-ins of the two services. Each call starts a fresh
// one, bound to 127.0.0.1, that ends with the test. They are programs of their own
// that make stand-ins fetches.
//
// Deploy runs a Stack: ReadTemplate reads one from a CloudFormation template, so
// that what a test runs is what is deployed. Tables, queues, streams and buckets
// are made in stand-ins. Each function is a real bootstrap program that talks to a
// Lambda Runtime API of its own, in as many processes as it is invoked at once, is
// killed when its timeout passes, and reaches the other services through a gate
// that lets pass what the function's role grants and nothing else. Mappings,
// routes and schedules invoke functions as AWS documents it.
//
// What differs from AWS: policies are matched on actions and resources only, and
// conditions are refused; nobody is authenticated, not at the HTTP API either;
// streams have one batch of each shard at a time; and what AWS lets wait for long
// (retries, visibility timeouts, polls) may be cut short by Options.Patience.
package local
