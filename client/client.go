package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
)

// Options changes how a client works; nil means the defaults.
type Options struct {
	// HTTP sends requests; by default a client of its own with up to 256
	// connections that are kept, which follows no redirects. Its Timeout must be 0,
	// for Follow has no end.
	HTTP *http.Client
	// Token is sent as a bearer token with every request; none if it is empty.
	Token string
	// Roots vouch for a server of https; the system's by default. It means nothing with
	// HTTP.
	Roots *x509.CertPool
	// Store is passed to annals.New.
	Store *annals.Options
}

// Open makes a Store over the server at address, such as http://127.0.0.1:4000.
// It connects when it is first used.
func Open(address string, opts *Options) (*annals.Store, error) {
	d, err := OpenDriver(address, opts)
	if err != nil {
		return nil, err
	}
	var store *annals.Options
	if opts != nil {
		store = opts.Store
	}
	return annals.New(d, store), nil
}

// OpenDriver is Open without the Store in front, for what wraps a driver.
func OpenDriver(address string, opts *Options) (annals.Driver, error) {
	d, err := open(address, opts)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func open(address string, opts *Options) (*driver, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, annals.Invalid("address", "must be a URL without a path, such as http://127.0.0.1:4000")
	}
	if u.User != nil {
		return nil, annals.Invalid("address", "must not hold a name or a password: servers take tokens") // without the secret
	}
	d := &driver{base: u.Scheme + "://" + u.Host}
	var roots *x509.CertPool
	if opts != nil {
		d.http, d.token, roots = opts.HTTP, opts.Token, opts.Roots
	}
	if strings.ContainsFunc(d.token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, annals.Invalid("token", "must be printable ASCII without spaces") // without the secret
	}
	if d.http == nil {
		const connections = 256
		d.own = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		}
		d.http = &http.Client{
			Transport: d.own,
			// The token is for this server alone.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	return d, nil
}

type driver struct {
	base  string
	token string
	http  *http.Client
	own   *http.Transport // nil where the caller brought a client

	ctx    context.Context // ends in ErrClosed
	cancel context.CancelCauseFunc
}

// Remote implements annals.RemoteDriver: the server has the keys of data subjects.
func (d *driver) Remote() {}

// scope is a context that also ends when the driver is closed.
func (d *driver) scope(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(d.ctx, func() { cancel(annals.ErrClosed) })
	if d.ctx.Err() != nil {
		cancel(annals.ErrClosed) // AfterFunc takes its time
	}
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

func (d *driver) streamURL(stream string) string {
	return d.base + "/v1/streams/" + url.PathEscape(stream) + "/events"
}

// Append implements annals.Driver.
func (d *driver) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	if d.ctx.Err() != nil {
		return annals.Commit{}, annals.ErrClosed
	}
	ctx, cancel := d.scope(ctx)
	defer cancel()
	body := []byte{'['}
	for i := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = events[i].AppendJSON(body, true)
	}
	body = append(body, ']')
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.streamURL(stream), bytes.NewReader(body))
	if err != nil {
		return annals.Commit{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	switch expected {
	case annals.Any:
	case annals.NoStream:
		r.Header.Set("If-None-Match", "*")
	default:
		r.Header.Set("If-Match", `"`+strconv.FormatInt(expected, 10)+`"`)
	}
	answer, err := d.do(r)
	if err != nil {
		return annals.Commit{}, d.sendErr(ctx, err, true)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	var c httpapi.Commit
	switch {
	case err != nil:
		return annals.Commit{}, unknown(err)
	case answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusCreated:
		return annals.Commit{}, appendProblem(answer, text)
	case json.Unmarshal(text, &c) != nil:
		return annals.Commit{}, unknown(fmt.Errorf("the server answered %s with %.200q", answer.Status, text))
	}
	version, err := strconv.ParseInt(c.Version, 10, 64)
	position, errToo := strconv.ParseInt(c.Position, 10, 64)
	if err := errors.Join(err, errToo); err != nil {
		return annals.Commit{}, unknown(err)
	}
	return annals.Commit{Stream: stream, Version: version, Count: c.Count, Position: position, Replayed: c.Replayed}, nil
}

// appendProblem is the error of a refused append. A proxy in between may answer
// in the server's place after the server has stored the events.
func appendProblem(answer *http.Response, text []byte) error {
	p, ok := parseProblem(answer, text)
	if !ok {
		return unknown(fmt.Errorf("%s answered %s, and not as an Annals server does: %.80q", answer.Request.URL.Host, answer.Status, text))
	}
	switch p.Code {
	case annals.CodeInternal, annals.CodeCanceled, annals.CodeTimeout:
		return unknown(p.Err())
	}
	return p.Err()
}

// parseProblem returns the server's own problem; false for what a proxy, or a
// server of another kind, answered.
func parseProblem(answer *http.Response, text []byte) (httpapi.Problem, bool) {
	var p httpapi.Problem
	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	err := json.Unmarshal(text, &p)
	return p, media == "application/problem+json" && err == nil && p.Type == httpapi.ProblemType+string(p.Code)
}

func unknown(cause error) error {
	return &annals.Error{
		Code: annals.CodeUnknownOutcome, Err: cause, Message: "the answer of the server was lost",
		Hint: "append the same events with the same ids again",
	}
}

// sendErr gives a failed request its error. Unless the connection could not be
// made, what was sent may have arrived.
func (d *driver) sendErr(ctx context.Context, err error, changes bool) error {
	switch {
	case changes && dialed(err):
		return unknown(err)
	case d.ctx.Err() != nil:
		return annals.ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &annals.Error{
		Code: annals.CodeUnavailable, Err: err, Message: "the server at " + d.base + " can't be reached",
		Hint: "start it with annals serve, or name another with --store",
	}
}

// dialed reports whether there was a connection, so that a request that failed
// with err may have arrived.
func dialed(err error) bool {
	var op *net.OpError
	return (!errors.As(err, &op) || op.Op != "dial") && !beforeSending(err)
}

// beforeSending reports whether TLS failed, so that no request was sent.
func beforeSending(err error) bool {
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &record) || errors.As(err, &certificate) || errors.Is(err, http.ErrSchemeMismatch)
}

// End implements annals.Driver.
func (d *driver) End(ctx context.Context, after int64) (int64, error) {
	values := url.Values{}
	if after >= 0 {
		values = url.Values{"after": {strconv.FormatInt(after, 10)}, "wait": {waitSeconds}}
	}
	return d.position(ctx, values, after)
}

// Wait implements annals.Sequencer, for servers whose store is one.
func (d *driver) Wait(ctx context.Context, commit annals.Commit) (annals.Commit, error) {
	position, err := d.position(ctx, url.Values{
		"stream": {commit.Stream}, "version": {strconv.FormatInt(commit.Version, 10)}, "wait": {waitSeconds},
	}, 0)
	commit.Position = position
	return commit, err
}

// waitSeconds is within what proxies let a request take.
const waitSeconds = "30"

// position asks until the answer is past after, or once with after < 0.
func (d *driver) position(ctx context.Context, values url.Values, after int64) (int64, error) {
	ctx, cancel := d.scope(ctx)
	defer cancel()
	address := d.address("/v1/position", values)
	for {
		answer, err := d.get(ctx, address, "application/json")
		if err != nil {
			return 0, err
		}
		var p struct{ Position string }
		err = json.NewDecoder(answer.Body).Decode(&p)
		err = errors.Join(err, answer.Body.Close())
		if err != nil {
			return 0, d.sendErr(ctx, err, false)
		}
		position, err := strconv.ParseInt(p.Position, 10, 64)
		if err != nil || position > after || after < 0 {
			return position, err
		}
	}
}

// get sends a request that reads; the body of its answer must be closed.
func (d *driver) get(ctx context.Context, address, accept string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	return d.send(ctx, r)
}

// do sends a request with the token.
func (d *driver) do(r *http.Request) (*http.Response, error) {
	if d.token != "" {
		r.Header.Set("Authorization", "Bearer "+d.token)
	}
	return d.http.Do(r)
}

// send returns the answer to a request that was not refused.
func (d *driver) send(ctx context.Context, r *http.Request) (*http.Response, error) {
	answer, err := d.do(r)
	if err != nil {
		return nil, d.lost(ctx, r, err)
	}
	if answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusCreated {
		return answer, nil
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, d.lost(ctx, r, err)
	}
	if p, ok := parseProblem(answer, text); ok {
		return nil, p.Err()
	}
	return nil, unsure(r, &annals.Error{
		Code: annals.CodeUnavailable, Message: fmt.Sprintf("%s answered %s, and not as an Annals server does: %.80q", d.base, answer.Status, text),
		Hint: "check the address, and any proxy in between",
	})
}

// Close implements annals.Driver.
func (d *driver) Close() error {
	d.cancel(annals.ErrClosed)
	if d.own != nil {
		d.own.CloseIdleConnections()
	}
	return nil
}

func bound(values url.Values, name string, n, none int64) {
	if n != none {
		values.Set(name, strconv.FormatInt(n, 10))
	}
}

func streamValues(from, to int64, backward bool) url.Values {
	values := url.Values{"exact": {"true"}}
	bound(values, "from", from, 1)
	bound(values, "to", to, math.MaxInt64)
	if backward {
		values.Set("backward", "true")
	}
	return values
}

func queryValues(q annals.Query) url.Values {
	values := url.Values{"exact": {"true"}}
	for name, list := range map[string][]string{"types": q.Types, "sources": q.Sources} {
		if len(list) > 0 {
			values[name] = list
		}
	}
	for name, s := range map[string]string{"correlation": q.Correlation, "prefix": q.Prefix} {
		if s != "" {
			values.Set(name, s)
		}
	}
	for name, t := range map[string]time.Time{"since": q.Since, "before": q.Before} {
		if !t.IsZero() {
			values.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	bound(values, "after", q.After, 0)
	bound(values, "until", q.Until, 0)
	bound(values, "limit", int64(q.Limit), 0)
	if q.Backward {
		values.Set("backward", "true")
	}
	return values
}
