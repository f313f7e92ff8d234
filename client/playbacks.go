package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
)

// Playbacks lets a server run playbacks. What is recorded of them, package playback reads
// from the server's store. Its methods are those of the HTTP API, with its errors, and are
// safe for concurrent use.
type Playbacks struct{ driver *driver }

// OpenPlaybacks makes Playbacks of the server at address, such as
// http://127.0.0.1:4000. It connects when it is first used.
func OpenPlaybacks(address string, opts *Options) (*Playbacks, error) {
	d, err := open(address, opts)
	if err != nil {
		return nil, err
	}
	return &Playbacks{d}, nil
}

// Close lets go of the connections. Calls under way end in annals.ErrClosed.
func (p *Playbacks) Close() error { return p.driver.Close() }

// Start starts a playback, which the server runs.
func (p *Playbacks) Start(ctx context.Context, asked httpapi.PlaybackRequest) (started playback.Playback, err error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return started, err
	}
	return started, p.driver.call(ctx, http.MethodPost, "/v1/playbacks", nil, body, &started)
}

// Resume lets the server go on with a playback.
func (p *Playbacks) Resume(ctx context.Context, id string) (resumed playback.Playback, err error) {
	return resumed, p.driver.call(ctx, http.MethodPost, "/v1/playbacks/"+url.PathEscape(id)+"/resume", nil, nil, &resumed)
}

// Stop stops a playback, at once if the server runs it.
func (p *Playbacks) Stop(ctx context.Context, id, reason string) (stopped playback.Playback, err error) {
	values := url.Values{}
	if reason != "" {
		values.Set("reason", reason)
	}
	return stopped, p.driver.call(ctx, http.MethodPost, "/v1/playbacks/"+url.PathEscape(id)+"/stop", values, nil, &stopped)
}
