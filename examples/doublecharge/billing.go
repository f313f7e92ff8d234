package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view"
)

// An order is what the customer has placed.
type order struct {
	Total    int    `json:"total"`
	Express  bool   `json:"express,omitempty"`
	Customer string `json:"customer"`
}

// payments is an ordinary HTTP client. Its transport journals what it sends.
var payments = &http.Client{Transport: &effect.Transport{}}

// post asks the provider for a payment.
func (p *provider) post(ctx context.Context, path string, of payment) error {
	body, err := json.Marshal(of)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer secret") // which the journal never sees
	response, err := payments.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider answers %s", response.Status)
	}
	return nil
}

// buggy charges an order, and an express order once more.
func (p *provider) buggy(ctx context.Context, t *reaction.Turn) error {
	var o order
	if err := json.Unmarshal(t.Data, &o); err != nil {
		return consumer.Permanent(err)
	}
	if o.Express {
		if err := p.post(ctx, "/charges", payment{t.Stream, o.Total}); err != nil {
			return err
		}
	}
	return p.post(ctx, "/charges", payment{t.Stream, o.Total})
}

// fixed charges every order once.
func (p *provider) fixed(ctx context.Context, t *reaction.Turn) error {
	var o order
	if err := json.Unmarshal(t.Data, &o); err != nil {
		return consumer.Permanent(err)
	}
	return p.post(ctx, "/charges", payment{t.Stream, o.Total})
}

// refund puts a difference right: money that was taken by a call that the code does
// not make any more is given back.
func (s *shop) refund(ctx context.Context, d *effect.Difference) (*effect.Response, error) {
	if d.Was == nil || d.Now != nil {
		return nil, fmt.Errorf("a person has to look at call %s of %s", d.Call, d.Event)
	}
	text, err := json.Marshal(d.Was.Request.Data)
	if err != nil {
		return nil, err
	}
	var taken payment
	if err := json.Unmarshal(text, &taken); err != nil {
		return nil, err
	}
	return nil, s.provider.post(ctx, "/refunds", taken)
}

// newGateway makes the gateway that journals the calls of the reactions of store.
func (s *shop) newGateway(store *annals.Store) (*effect.Gateway, error) {
	return effect.New(store, &effect.Options{
		Clock: clock, Logger: quiet, Corrections: map[string]effect.Correction{"billing": s.refund},
	})
}

// billing is the reaction that charges orders, by this code.
func billing(store *annals.Store, views view.Store, gateway *effect.Gateway, code reaction.Handler) (*reaction.Reaction, error) {
	return reaction.New(store, views, "billing", annals.Query{Types: []string{"order-placed"}}, code,
		&reaction.Options{Effects: gateway, Consumer: &consumer.Options{Clock: clock, Logger: quiet}})
}

// work runs a reaction until it has handled all that the log holds.
func work(ctx context.Context, store *annals.Store, r *reaction.Reaction) error {
	end, err := store.End(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); cancel(r.Run(ctx)) }()
	err = r.WaitFor(ctx, end)
	if err != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	<-ended
	return err
}
