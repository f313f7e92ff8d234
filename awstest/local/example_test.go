package local_test

import (
	"testing"
	"time"

	"github.com/eb901187/annals/awstest/local"
)

// A test deploys what a template describes, with programs of its own, and plays
// hours of waiting in moments.
func Example() {
	test := func(t *testing.T) {
		stack, err := local.ReadTemplate("testdata/annals.template.json")
		if err != nil {
			t.Fatal(err)
		}
		d := local.Deploy(t, stack, local.Options{
			Bootstrap: func(local.Function) string { return "/tmp/bootstrap" },
			Patience:  100 * time.Millisecond,
		})
		result, err := d.Invoke(t.Context(), "annals-query", []byte(`{}`))
		if err != nil || result.Failed {
			t.Fatalf("%s, %v", result.Payload, err)
		}
	}
	_ = test
}
