// Package compare says where two descriptions of the same resources on AWS differ:
// a CloudFormation template, as deploy/cdk synthesizes it, and a Terraform module,
// as deploy/terraform holds it.
//
// ReadTemplate and ReadModule evaluate one of them each, without AWS and without
// Terraform, into a Model: resources by kind and name, and their settings as text.
// What only AWS will know, such as the account, is a placeholder that both sides
// share: ${AWS::AccountId}. Diff lists what is not the same.
//
// Both sides are read strictly. A type of resource, a setting or a function that
// this package does not know is an error, so that nothing is left out of the
// comparison because nobody thought of it.
//
// A Module can also be checked by itself: Module.Problems finds undeclared
// references and, against a Schema of the provider, arguments that a resource does
// not take or lacks.
package compare
