package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/proof"
)

// Proofs asks a server for roots of its log and for proofs. What a proof shows, and to
// whom, says proof.Proof.Check: the server is not trusted with that. Its methods are
// safe for concurrent use.
//
// Errors are those of the HTTP API: annals.ErrNotFound for a size or a position that the
// log has not got, one of annals.CodeUsage where the server's store has no hashes, and
// annals.ErrDamaged for an answer that is not about what was asked for or does not hold.
type Proofs struct{ driver *driver }

// OpenProofs makes Proofs of the server at address, such as http://127.0.0.1:4000. It
// connects when it is first used.
func OpenProofs(address string, opts *Options) (*Proofs, error) {
	d, err := open(address, opts)
	if err != nil {
		return nil, err
	}
	return &Proofs{d}, nil
}

// Close lets go of the connections. Calls under way end in annals.ErrClosed.
func (p *Proofs) Close() error { return p.driver.Close() }

// Latest returns the root of the whole log as it is now. The server's first answer reads
// the whole log, and where a call is cut off the next one goes on with that.
func (p *Proofs) Latest(ctx context.Context) (proof.Root, error) { return p.root(ctx, url.Values{}) }

// Root returns the root of the first size events.
func (p *Proofs) Root(ctx context.Context, size int64) (proof.Root, error) {
	r, err := p.root(ctx, url.Values{"size": {decimal(size)}})
	if err == nil && r.Size != size {
		err = strange(p.driver.base)
	}
	return r, err
}

func (p *Proofs) root(ctx context.Context, values url.Values) (proof.Root, error) {
	var answer httpapi.LogRoot
	if err := p.driver.call(ctx, http.MethodGet, "/v1/root", values, nil, &answer); err != nil {
		return proof.Root{}, err
	}
	return proof.ParseRoot(answer.Root)
}

// Inclusion returns a proof that the event at position is in the log of the first size
// events.
func (p *Proofs) Inclusion(ctx context.Context, position, size int64) (got proof.Proof, err error) {
	values := url.Values{"position": {decimal(position)}, "size": {decimal(size)}}
	if err = p.driver.call(ctx, http.MethodGet, "/v1/proofs/inclusion", values, nil, &got); err != nil {
		return got, err
	}
	if got.Kind != proof.Inclusion || got.Root.Size != size || got.Event.Position != position {
		return got, strange(p.driver.base)
	}
	return got, got.Check()
}

// Extension returns a proof that the log of the first to events begins with that of the
// first from.
func (p *Proofs) Extension(ctx context.Context, from, to int64) (got proof.Proof, err error) {
	values := url.Values{"from": {decimal(from)}, "to": {decimal(to)}}
	if err = p.driver.call(ctx, http.MethodGet, "/v1/proofs/extension", values, nil, &got); err != nil {
		return got, err
	}
	if got.Kind != proof.Extension || got.Root.Size != to || got.From.Size != from {
		return got, strange(p.driver.base)
	}
	return got, got.Check()
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func strange(server string) error {
	return &annals.Error{Code: annals.CodeDamaged, Message: server + " answered with a proof of something else than was asked for", Hint: "don't rely on it; ask again, and look into what stands between"}
}
