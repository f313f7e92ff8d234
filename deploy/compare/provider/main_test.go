package main

import (
	"os"
	"path/filepath"
	"testing"
)

// What is pruned still holds together: a service's client goes with its import.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	for path, text := range map[string]string{
		"internal/conns/awsclient_gen.go": `package conns

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/xray"
)

func (c *AWSClient) SQSClient(ctx context.Context) *sqs.Client {
	return c.sqs
}

func (c *AWSClient) XRayClient(ctx context.Context) *xray.Client {
	return c.xray
}
`,
		"internal/provider/sdkv2/service_packages_gen.go": `package sdkv2

import (
	"github.com/hashicorp/terraform-provider-aws/internal/conns"
	"github.com/hashicorp/terraform-provider-aws/internal/service/sqs"
	"github.com/hashicorp/terraform-provider-aws/internal/service/xray"
)

var all = []conns.ServicePackage{
		sqs.ServicePackage(ctx),
		xray.ServicePackage(ctx),
}
`,
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"internal/conns/awsclient_gen.go": `package conns

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func (c *AWSClient) SQSClient(ctx context.Context) *sqs.Client {
	return c.sqs
}
`,
		"internal/provider/sdkv2/service_packages_gen.go": `package sdkv2

import (
	"github.com/hashicorp/terraform-provider-aws/internal/conns"
	"github.com/hashicorp/terraform-provider-aws/internal/service/sqs"
)

var all = []conns.ServicePackage{
		sqs.ServicePackage(ctx),
}
`,
	} {
		if text, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(text) != want {
			t.Errorf("%s: %v, %s", path, err, text)
		}
	}
}
