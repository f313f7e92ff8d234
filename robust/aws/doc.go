// Package aws holds tests that run what is deployed on AWS, end to end on one
// machine: the stack of the CloudFormation template, with the real binary of every
// role, on the stand-ins of package awstest/local. It has no code of its own.
package aws
