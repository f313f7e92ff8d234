package local

import (
	"os/exec"
	"testing"

	"github.com/eb901187/annals/awstest"
)

// KMS starts a Key Management Service that has no keys, for this test alone, and returns
// its URL. It takes any credentials, keeps everything in memory and is killed when the
// test ends. Rights and key policies mean nothing there.
func KMS(t testing.TB) string {
	t.Helper()
	python, moto := awstest.Tool(t, "python/bin/python"), awstest.File(t, "tools/python/moto_server.py")
	return awstest.Serve(t, exec.Command(python, moto, "--host", "127.0.0.1", "--port", "0"), running)
}
