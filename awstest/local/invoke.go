package local

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxAsync is how large the payload of an asynchronous invocation may be.
const maxAsync = 1 << 20

// serveInvoke is the part of Lambda's API that invokes functions, for the SDK and the
// command line.
func (d *Deployment) serveInvoke(w http.ResponseWriter, r *http.Request) {
	name, _, ok := functionOf(r.URL)
	f := d.functions[name]
	if !ok || r.Method != http.MethodPost || f == nil {
		refuse(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+r.URL.Path)
		return
	}
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return // the caller broke off
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if !json.Valid(payload) {
		refuse(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
		return
	}
	kind := r.Header.Get("X-Amz-Invocation-Type")
	limit := maxPayload
	if kind == "Event" {
		limit = maxAsync
	}
	if len(payload) > limit {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException", fmt.Sprintf("%d byte payload is too large (limit %d bytes)", len(payload), limit))
		return
	}
	switch kind {
	case "", "RequestResponse":
		d.answerInvoke(w, r, f, payload)
	case "Event":
		d.work.Go(func() { d.invokeLater(f, payload) })
		w.WriteHeader(http.StatusAccepted)
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusBadRequest, "InvalidParameterValueException", "no invocation type is called "+kind)
	}
}

func (d *Deployment) answerInvoke(w http.ResponseWriter, r *http.Request, f *deployed, payload []byte) {
	result, err := f.invoke(r.Context(), payload)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "ServiceException", err.Error())
		return
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	w.Header().Set("X-Amzn-Requestid", result.Request)
	if result.Failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	if r.Header.Get("X-Amz-Log-Type") == "Tail" {
		w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(f.tail(result.Request)))
	}
	_, _ = w.Write(result.Payload) // to who may have gone
}

// invokeLater tries three times in all, after one and after two minutes more.
func (d *Deployment) invokeLater(f *deployed, payload []byte) {
	for try := range 3 {
		if try > 0 && !d.wait(time.Duration(try)*time.Minute) {
			return
		}
		result, err := f.invoke(d.ctx, payload)
		if err != nil || !result.Failed {
			return // done, or the test ends
		}
		d.note("%s failed when invoked to run later: %s", f.f.Name, result.Payload)
	}
}

// tail is the end of what an invocation has printed, at most 4 KiB.
func (d *deployed) tail(request string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all strings.Builder
	for _, line := range d.lines {
		if line.Request == request {
			all.WriteString(line.Text + "\n")
		}
	}
	text := all.String()
	return []byte(text[max(0, len(text)-4096):])
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	(&Fault{Status: status, Code: code, Message: message}).write(w, "lambda", nil)
}

// wait is cut short to the patience of the deployment, and ends with it.
func (d *Deployment) wait(long time.Duration) bool { return wait(d.ctx, d.clock, d.patient(long)) }

func (d *Deployment) patient(long time.Duration) time.Duration {
	if d.options.Patience > 0 {
		return min(long, d.options.Patience)
	}
	return long
}
