// Package awstest gives tests local stand-ins of AWS that the real SDK talks to:
// DynamoDB with its Streams, and S3. Each call starts a fresh one, bound to
// 127.0.0.1, that ends with the test. What they can't show (throttling, eventual
// consistency, lost replies) has to be planted in front of them.
//
// DynamoDB is a program of its own, which make stand-ins fetches.
package awstest
