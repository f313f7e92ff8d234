// Command provider builds Terraform's AWS provider, as far as deploy/terraform
// needs it, where the registry that serves it cannot be reached. It takes the
// provider's source from the Go proxy at one version, leaves out the services that
// the module does not use, whose SDKs would take an hour to compile, and puts the
// binary where terraform finds it as a mirror of the registry:
//
//	go run ./provider -out DIRECTORY
//
// It takes some minutes, and some gigabytes of Go's caches, the first time.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// The provider's source. Its releases are no versions of a Go module, so this is a
// commit: what came after the release.
const (
	module  = "github.com/hashicorp/terraform-provider-aws"
	version = "v1.60.1-0.20260602190131-5f2286d6d836"
	sum     = "h1:haLmsj0WF7e6d2TGbk0fbz5qWdA9f8w9sNpMe6J6WqM="
	release = "6.47.1"
)

var (
	// services are those whose resources the module has, and those that the
	// provider's own packages need of each other.
	services = []string{
		"apigatewayv2", "cloudwatch", "dynamodb", "ec2", "events", "iam", "kinesis", "kms", "lambda", "logs", "meta", "s3", "s3control", "sns", "sqs", "sts",
	}
	// clients are the SDK's packages that those call.
	clients = append([]string{"account", "cloudwatchlogs", "eventbridge", "organizations", "resourcegroupstaggingapi", "sso", "ssooidc"}, services...)
)

func main() {
	out := flag.String("out", "", "directory of the mirror")
	flag.Parse()
	if err := build(*out); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

func build(out string) error {
	if out == "" {
		return errors.New("-out is missing")
	}
	source, err := download()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "annals-provider-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	// CopyFS makes files with the mode that they have, which for a module is
	// read-only; directories are its own.
	if err := os.CopyFS(work, os.DirFS(source)); err != nil {
		return err
	}
	if err := prune(work); err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Join(out, "registry.terraform.io/hashicorp/aws", release, runtime.GOOS+"_"+runtime.GOARCH))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	c := exec.Command("go", "build", "-mod=mod", "-ldflags", "-s -w", "-o", filepath.Join(dir, "terraform-provider-aws_v"+release), ".")
	c.Dir, c.Stdout, c.Stderr = work, os.Stderr, os.Stderr
	return c.Run()
}

// download returns where the provider's source lies.
func download() (dir string, err error) {
	c := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	c.Dir = os.TempDir() // in no module, whose go.sum would be asked
	c.Stderr = os.Stderr
	answer, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download: %w\n%s", err, answer)
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(answer, &got); err != nil {
		return "", err
	}
	if got.Sum != sum {
		return "", fmt.Errorf("%s %s has the checksum %s, not %s", module, version, got.Sum, sum)
	}
	return got.Dir, nil
}

// prune leaves the services out that are not wanted.
func prune(dir string) error {
	if err := rewrite(filepath.Join(dir, "internal/conns/awsclient_gen.go"), func(text string) string {
		parts := strings.Split(text, "\nfunc ")
		header := dropLines(parts[0], regexp.MustCompile(`"github\.com/aws/aws-sdk-go-v2/service/(\w+)"`), clients)
		kept := []string{header}
		client := regexp.MustCompile(`\*(\w+)\.Client\b`)
		for _, function := range parts[1:] {
			if m := client.FindStringSubmatch(function); m == nil || slices.Contains(clients, m[1]) {
				kept = append(kept, function)
			}
		}
		return strings.Join(kept, "\nfunc ")
	}); err != nil {
		return err
	}
	return rewrite(filepath.Join(dir, "internal/provider/sdkv2/service_packages_gen.go"), func(text string) string {
		text = dropLines(text, regexp.MustCompile(`"`+module+`/internal/service/(\w+)"`), services)
		return dropLines(text, regexp.MustCompile(`^\s+(\w+)\.ServicePackage\(ctx\),`), services)
	})
}

// dropLines drops the lines that name something which is not kept.
func dropLines(text string, name *regexp.Regexp, keep []string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		m := name.FindStringSubmatch(line)
		return m != nil && !slices.Contains(keep, m[1])
	}), "\n")
}

func rewrite(path string, change func(string) string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil { // it may be read-only
		return err
	}
	return os.WriteFile(path, []byte(change(string(text))), 0o644)
}
