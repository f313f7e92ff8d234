package local_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/eb901187/annals/awstest/local"
)

var anyone = credentials.NewStaticCredentialsProvider("id", "secret", "")

func kinesisClient(t testing.TB) *kinesis.Client {
	return kinesis.New(kinesis.Options{Region: "us-east-1", Credentials: anyone, BaseEndpoint: aws.String(local.Kinesis(t))})
}
