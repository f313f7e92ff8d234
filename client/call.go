package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/eb901187/annals"
)

func (d *driver) address(path string, values url.Values) string {
	if len(values) == 0 {
		return d.base + path
	}
	return d.base + path + "?" + values.Encode()
}

// call sends a request and reads its JSON answer into out.
func (d *driver) call(ctx context.Context, method, path string, values url.Values, body []byte, out any) error {
	ctx, cancel := d.scope(ctx)
	defer cancel()
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, d.address(path, values), in)
	if err != nil {
		return err
	}
	answer, err := d.send(ctx, r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return d.lost(ctx, r, err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return unsure(r, &annals.Error{
			Code: annals.CodeUnavailable, Err: err, Message: d.base + " answered with what this version does not understand",
			Hint: "use the same version of Annals on both sides",
		})
	}
	return nil
}

// lost is the error of a request whose answer did not come, or not as a whole.
func (d *driver) lost(ctx context.Context, r *http.Request, err error) error {
	read := d.sendErr(ctx, err, false)
	if !dialed(err) {
		return read
	}
	return unsure(r, read)
}

// unsure is err where the request reads; where it changes something, that may have
// been done.
func unsure(r *http.Request, err error) error {
	if r.Method == http.MethodGet {
		return err
	}
	return &annals.Error{
		Code: annals.CodeUnknownOutcome, Err: err, Message: "it is unknown whether this was done: " + r.Method + " " + r.URL.Path,
		Hint: "see what is there now, with annals projection list, annals parked list or annals playback list",
	}
}
