package local

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/eb901187/annals/awstest"
)

// SQS starts an SQS that has no queues, for this test alone, and returns its URL.
// It speaks the JSON protocol of the SDKs and the query protocol of older command
// lines, takes any credentials, keeps everything in memory and is killed when the
// test ends. Queues belong to the account 123456789012.
func SQS(t testing.TB) string {
	t.Helper()
	python, moto := awstest.Tool(t, "python/bin/python"), awstest.File(t, "tools/python/moto_server.py")
	return awstest.Serve(t, exec.Command(python, moto, "--host", "127.0.0.1", "--port", "0"), running)
}

// running takes the line with which moto says where it listens.
func running(line string) (url string, ok bool) {
	return strings.CutPrefix(line, " * Running on ")
}
