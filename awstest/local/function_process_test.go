package local_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/awstest/local"
)

// The test binary is the program of the functions: it does what the payload says.
func TestMain(m *testing.M) {
	if api := os.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
		beFunction("http://" + api + "/2018-06-01/runtime/")
	}
	os.Exit(m.Run())
}

type order struct {
	Do  string
	URL string // of what do calls
	// Records are those of a batch.
	Records []json.RawMessage
}

func beFunction(api string) {
	if os.Getenv("BREAK") != "" {
		post(api+"init/error", `{"errorMessage":"broken from the start"}`)
		os.Exit(1)
	}
	for {
		answer, err := http.Get(api + "invocation/next")
		if err != nil {
			os.Exit(1)
		}
		payload, err := io.ReadAll(answer.Body)
		if err != nil {
			os.Exit(1)
		}
		id := answer.Header.Get("Lambda-Runtime-Aws-Request-Id")
		var o order
		_ = json.Unmarshal(payload, &o)
		fmt.Printf("%s\n", payload)
		out, failed := o.obey(payload)
		kind := "/response"
		if failed {
			kind = "/error"
		}
		post(api+"invocation/"+id+kind, out)
	}
}

func (o order) obey(payload []byte) (answer string, failed bool) {
	switch o.Do {
	case "fail":
		return `{"errorType":"Error","errorMessage":"asked to"}`, true
	case "hang":
		select {}
	case "exit":
		os.Exit(3)
	case "who":
		return fmt.Sprint(os.Getpid()), false
	case "large":
		return `"` + strings.Repeat("x", 6<<20) + `"`, false
	case "call":
		out, err := callService(o.URL)
		if err != nil {
			return fmt.Sprintf(`{"errorMessage":%q}`, err), true
		}
		return out, false
	}
	if o.Records != nil {
		return o.answer(), false
	}
	return string(payload), false
}

// answer reports the messages whose body is what the environment says.
func (o order) answer() string {
	type failure struct {
		ItemIdentifier string `json:"itemIdentifier"`
	}
	failures := []failure{}
	for _, r := range o.Records {
		var message struct{ MessageID, Body string }
		if err := json.Unmarshal(r, &message); err == nil && message.Body != "" && message.Body == os.Getenv("FAIL") {
			failures = append(failures, failure{message.MessageID})
		}
	}
	out, err := json.Marshal(map[string]any{"batchItemFailures": failures})
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func post(url, body string) {
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		os.Exit(1)
	}
	_ = answer.Body.Close()
}

// callService sends METHOD SERVICE TARGET PATH BODY to the function's endpoint.
func callService(what string) (string, error) {
	fields := strings.SplitN(what, " ", 5)
	r, err := http.NewRequest(fields[0], os.Getenv("AWS_ENDPOINT_URL")+fields[3], bytes.NewReader([]byte(fields[4])))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/"+fields[1]+"/aws4_request, SignedHeaders=host, Signature=0")
	r.Header.Set("X-Amz-Target", fields[2])
	r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	out, err := json.Marshal(map[string]any{"status": answer.StatusCode, "body": string(body)})
	return string(out), err
}

func self(t testing.TB) func(local.Function) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(local.Function) string { return path }
}

func invoke(t *testing.T, d *local.Deployment, function, payload string) local.Result {
	t.Helper()
	result, err := d.Invoke(t.Context(), function, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestFunctionAnswersAndFails(t *testing.T) {
	t.Parallel()
	d := local.Deploy(t, local.Stack{Functions: []local.Function{{Name: "f", Timeout: 10 * time.Second}}}, local.Options{Bootstrap: self(t)})
	if got := invoke(t, d, "f", `{"a":1}`); got.Failed || string(got.Payload) != `{"a":1}` {
		t.Errorf("echo: %+v", got)
	}
	if got := invoke(t, d, "f", `{"do":"fail"}`); !got.Failed || !strings.Contains(string(got.Payload), "asked to") {
		t.Errorf("fail: %+v %s", got, got.Payload)
	}
	if got := invoke(t, d, "f", `{"do":"large"}`); !got.Failed || !strings.Contains(string(got.Payload), "ResponseSizeTooLarge") {
		t.Errorf("large: %.100s", got.Payload)
	}
	if got := invoke(t, d, "f", `{"do":"exit"}`); !got.Failed || !strings.Contains(string(got.Payload), "exit status 3") {
		t.Errorf("exit: %s", got.Payload)
	}
	if got := invoke(t, d, "f", `"again"`); got.Failed {
		t.Errorf("after the exit: %s", got.Payload)
	}
	stats := d.Stats("f")
	if stats.Invocations != 5 || stats.Errors != 3 || stats.Starts != 2 || stats.Init <= 0 || stats.Resident <= 0 {
		t.Errorf("stats: %+v", stats)
	}
	var printed []string
	for _, line := range d.Lines("f") {
		printed = append(printed, line.Text)
	}
	if !strings.Contains(strings.Join(printed, "\n"), `{"a":1}`) {
		t.Errorf("printed: %q", printed)
	}
}

// A function that runs out of time is killed; another process takes the next
// invocation.
func TestFunctionIsKilledAtItsTimeout(t *testing.T) {
	t.Parallel()
	d := local.Deploy(t, local.Stack{Functions: []local.Function{{Name: "f", Timeout: 300 * time.Millisecond}}}, local.Options{Bootstrap: self(t)})
	first := invoke(t, d, "f", `{"do":"who"}`)
	if got := invoke(t, d, "f", `{"do":"hang"}`); !got.Failed || !strings.Contains(string(got.Payload), "timed out after 0.30 seconds") {
		t.Fatalf("got %s", got.Payload)
	}
	if second := invoke(t, d, "f", `{"do":"who"}`); string(second.Payload) == string(first.Payload) {
		t.Fatal("the process that hung was kept")
	}
}

func TestFunctionThatCannotStart(t *testing.T) {
	t.Parallel()
	d := local.Deploy(t, local.Stack{Functions: []local.Function{{Name: "f", Env: map[string]string{"BREAK": "1"}}}}, local.Options{Bootstrap: self(t)})
	if got := invoke(t, d, "f", `{}`); !got.Failed || !strings.Contains(string(got.Payload), "broken from the start") {
		t.Fatalf("got %s", got.Payload)
	}
}

// Invocations at once have a process each, as many as may run, and a killed
// process fails its own alone.
func TestFunctionRunsAtOnce(t *testing.T) {
	t.Parallel()
	d := local.Deploy(t, local.Stack{Functions: []local.Function{{Name: "f", Timeout: 20 * time.Second, Concurrency: 2}}}, local.Options{Bootstrap: self(t)})
	hung := make(chan local.Result)
	go func() { hung <- invoke(t, d, "f", `{"do":"hang"}`) }()
	for len(d.Lines("f")) == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the function never began")
		}
	}
	if got := invoke(t, d, "f", `"beside"`); got.Failed {
		t.Fatalf("beside one that hangs: %s", got.Payload)
	}
	if d.Stats("f").Starts != 2 {
		t.Fatalf("%d processes", d.Stats("f").Starts)
	}
	if !d.Kill("f", func(int) int { return 0 }) {
		t.Fatal("there was nothing to kill")
	}
	if got := <-hung; !got.Failed || !strings.Contains(string(got.Payload), "signal: killed") {
		t.Fatalf("the killed one: %s", got.Payload)
	}
}
