package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/eb901187/annals/subject"
)

// Erase asks the server at address to erase a data subject, and returns the receipt. The
// server does the work while the call waits. It may be repeated, and is to be after an
// error that leaves its outcome unknown.
func Erase(ctx context.Context, address string, asked subject.Request, opts *Options) (subject.Receipt, error) {
	d, err := open(address, opts)
	if err != nil {
		return subject.Receipt{}, err
	}
	defer func() { _ = d.Close() }() // it only lets go of connections
	body, err := json.Marshal(asked)
	if err != nil {
		return subject.Receipt{}, err
	}
	values := url.Values{}
	if asked.DryRun {
		values.Set("dryRun", "true")
	}
	var receipt subject.Receipt
	err = d.call(ctx, http.MethodPost, "/v1/erasures", values, body, &receipt)
	return receipt, err
}
