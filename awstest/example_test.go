package awstest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/eb901187/annals/awstest"
)

func dynamoClient(t testing.TB) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		BaseEndpoint: aws.String(awstest.DynamoDB(t)),
	})
}

func s3Client(t testing.TB, buckets ...string) *s3.Client {
	return s3.New(s3.Options{
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		BaseEndpoint: aws.String(awstest.S3(t, buckets...)),
		UsePathStyle: true,
	})
}

// A client of a stand-in differs from one of AWS by its endpoint alone.
func Example() {
	testBodies := func(t *testing.T) {
		tables := dynamoClient(t)
		bodies := s3Client(t, "bodies")
		_, _ = tables, bodies
	}
	_ = testBodies
}
