package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
)

// A Call is a request of a function to another service.
type Call struct {
	Function string
	// Actions are what the request needs, such as dynamodb:PutItem.
	Actions []string
	// Resources are the ARNs that they act on, in the order of Actions.
	Resources []string
	Body      []byte
}

// A Fault is what a function gets in place of the answer to a call.
type Fault struct {
	Status        int    // of HTTP; 400 if 0
	Code, Message string // such as ProvisionedThroughputExceededException
	// Lost lets the call reach the service first, so that its outcome is unknown
	// to the function.
	Lost bool
}

// A gate stands between a function and the services. It lets pass what the
// function's policy allows. One without a policy lets everything pass.
type gate struct {
	stack    *Stack
	function string
	policy   *policy
	services map[string]string // addresses by what requests are signed for
	lambda   http.Handler      // Invoke
	fault    func(Call) *Fault
	client   *http.Client

	mu       sync.Mutex
	problems []string // requests that can't be judged
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the function broke off
	}
	service := serviceOf(r)
	if fault := g.judge(service, r, body); fault != nil {
		if fault.Lost {
			_, _, _ = g.pass(service, r, body) // nobody hears of it
		}
		fault.write(w, service, r)
		return
	}
	if service == "lambda" {
		r.Body = io.NopCloser(bytes.NewReader(body))
		g.lambda.ServeHTTP(w, r)
		return
	}
	answer, payload, err := g.pass(service, r, body)
	if err != nil {
		if r.Context().Err() == nil {
			g.problem("%s %s: %v", service, r.URL.Path, err)
		}
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if fault := g.hide(service, r, answer.StatusCode); fault != nil {
		fault.write(w, service, r)
		return
	}
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(payload) // to who may have gone
}

// judge returns why a request must not pass, if it must not.
func (g *gate) judge(service string, r *http.Request, body []byte) *Fault {
	if g.policy == nil {
		return nil
	}
	needs, err := g.stack.needs(service, r, body)
	if err != nil {
		g.problem("%v", err)
		return &Fault{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: err.Error()}
	}
	call := Call{Function: g.function, Body: body}
	for _, n := range needs {
		if !g.policy.allows(n) {
			return denied(service, g.function, n)
		}
		call.Actions, call.Resources = append(call.Actions, n.action), append(call.Resources, n.resource)
	}
	if g.fault == nil {
		return nil
	}
	return g.fault(call)
}

func denied(service, function string, n need) *Fault {
	f := &Fault{Status: http.StatusBadRequest, Code: "AccessDeniedException"}
	if service == "s3" {
		f.Code = "AccessDenied"
	}
	if service == "s3" || service == "sqs" || service == "lambda" {
		f.Status = http.StatusForbidden
	}
	f.Message = fmt.Sprintf("User: arn:aws:sts::%s:assumed-role/%s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
		account, function, n.action, n.resource, n.action)
	return f
}

// hide turns the absence of an object into a denial for who may not list the
// bucket, as S3 does.
func (g *gate) hide(service string, r *http.Request, status int) *Fault {
	if g.policy == nil || service != "s3" || status != http.StatusNotFound {
		return nil
	}
	bucket, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n := need{"s3:ListBucket", "arn:aws:s3:::" + bucket}
	if g.policy.allows(n) {
		return nil
	}
	return denied(service, g.function, n)
}

// pass sends the request on and returns the whole answer.
func (g *gate) pass(service string, r *http.Request, body []byte) (*http.Response, []byte, error) {
	address, ok := g.services[service]
	if !ok {
		return nil, nil, fmt.Errorf("no service is called %q here", service)
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, address+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	out.Header = r.Header.Clone()
	// What is asked for compressed has to be passed on as it comes.
	out.Header.Del("Accept-Encoding")
	answer, err := g.client.Do(out)
	if err != nil {
		return nil, nil, err
	}
	payload, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	return answer, payload, err
}

func (f *Fault) write(w http.ResponseWriter, service string, r *http.Request) {
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if service == "s3" {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", f.Code, f.Message)
		}
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-ErrorType", f.Code)
	w.WriteHeader(status)
	body, err := json.Marshal(map[string]string{"__type": f.Code, "message": f.Message})
	if err != nil {
		panic(err) // two strings
	}
	_, _ = w.Write(body)
}

func (g *gate) problem(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.problems = append(g.problems, g.function+": "+fmt.Sprintf(format, args...))
}
