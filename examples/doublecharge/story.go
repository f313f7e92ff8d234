package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/reversal"
	"github.com/eb901187/annals/view/pebbleview"
)

// bug runs the shop for a day with code that charges express orders twice.
func (s *shop) bug(ctx context.Context) error {
	s.say("A day in the shop. The code charges express orders twice.")
	r, err := billing(s.store, s.views, s.gateway, s.provider.buggy)
	if err != nil {
		return err
	}
	// Started before the first order: what comes from here on is charged.
	if err := work(ctx, s.store, r); err != nil {
		return err
	}
	for i, o := range []order{{20, false, "ada@example.com"}, {35, true, "bob@example.com"}, {50, false, "eve@example.com"}} {
		data, err := json.Marshal(o)
		if err != nil {
			return err
		}
		if _, err := s.store.Append(ctx, orders[i], annals.NoStream, annals.Event{ID: "placed", Type: "order-placed", Data: data}); err != nil {
			return err
		}
	}
	moved := annals.Event{ID: "moved", Type: "customer-changed", Data: []byte(`{"customer":"mallory@example.com"}`)}
	if _, err := s.store.Append(ctx, "order-1", 1, moved); err != nil {
		return err
	}
	if r, err = billing(s.store, s.views, s.gateway, s.provider.buggy); err != nil {
		return err
	}
	if err := work(ctx, s.store, r); err != nil {
		return err
	}
	s.provider.show(s.out, orders)
	return nil
}

// repair replays the day with the mended code. Nothing is sent.
func (s *shop) repair(ctx context.Context) error {
	s.say("The code is mended. What it would have done is compared with the journal.")
	r, err := billing(s.store, s.views, s.gateway, s.provider.fixed)
	if err != nil {
		return err
	}
	found, err := r.Repair(ctx, effect.RepairOptions{From: 1, Reason: "express orders were charged twice"})
	if err != nil {
		return err
	}
	for _, f := range found {
		fmt.Fprintf(s.out, "  %s: event %s, call %s was %s, now %s\n", f.ID, f.Event, f.Call, shown(&f.Was.Request), shown(f.Now))
	}
	s.provider.show(s.out, orders)
	return nil
}

// shown is a call in one line.
func shown(r *effect.Request) string {
	if r == nil {
		return "none"
	}
	body, err := json.Marshal(r.Data)
	if err != nil {
		return err.Error()
	}
	return r.Method + " " + string(body)
}

// approve lets the refunds go out: exactly those.
func (s *shop) approve(ctx context.Context) error {
	s.say("The differences are approved, and refunded.")
	r, err := billing(s.store, s.views, s.gateway, s.provider.fixed)
	if err != nil {
		return err
	}
	open, err := effect.Differences(ctx, s.store, "billing")
	if err != nil {
		return err
	}
	for _, f := range open {
		if err := effect.Approve(ctx, s.store, f.ID); err != nil {
			return err
		}
	}
	done, err := r.Correct(ctx)
	if err != nil {
		return err
	}
	for _, f := range done {
		fmt.Fprintf(s.out, "  %s: %s\n", f.ID, f.State)
	}
	s.provider.show(s.out, orders)
	again, err := r.Repair(ctx, effect.RepairOptions{From: 1})
	if err != nil {
		return err
	}
	s.say("  a second repair finds %d differences", len(again))
	return nil
}

// fork makes a test environment of the log, with customers masked, and runs the
// reaction in it from the start. Nothing leaves it.
func (s *shop) fork(ctx context.Context) (err error) {
	s.say("A fork for debugging, with customers masked. The code with the bug runs in it from the start.")
	mask, err := playback.ParseMask("mask.jq", []byte(`if .data.customer then .data.customer = "***" else . end`))
	if err != nil {
		return err
	}
	copied, err := open(filepath.Join(s.dir, "fork"))
	if err != nil {
		return err
	}
	views := pebbleview.Memory()
	defer func() { err = errors.Join(err, views.Close(), copied.Close()) }()
	if _, err := playback.Fork(ctx, s.store, copied, &playback.ForkOptions{Source: "shop", Mask: mask}); err != nil {
		return err
	}
	gateway, err := s.newGateway(copied)
	if err != nil {
		return err
	}
	r, err := billing(copied, views, gateway, s.provider.buggy)
	if err != nil {
		return err
	}
	if err := work(ctx, copied, r); err != nil {
		return err
	}
	for e, err := range copied.Stream(ctx, "order-2", nil) {
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "  it holds %s@%d %s\n", e.Stream, e.Version, e.Data)
	}
	for _, calls := range gateway.Stats() {
		fmt.Fprintf(s.out, "  of its calls %d were answered from the journal, %d suppressed, %d sent\n", calls.Answered, calls.Suppressed, calls.Sent)
	}
	s.provider.show(s.out, orders)
	return nil
}

// reverse takes one event back.
func (s *shop) reverse(ctx context.Context) error {
	s.say("The change of order-1's customer was a mistake, and is reversed.")
	plan, err := reversal.NewPlan(ctx, s.store, reversal.Target{Stream: "order-1", Version: 2},
		&reversal.Options{ID: "support-17", Reason: "the wrong order was changed"})
	if err != nil {
		return err
	}
	if _, err := reversal.Apply(ctx, s.store, plan); err != nil {
		return err
	}
	of := plan.Streams[0]
	fmt.Fprintf(s.out, "  by its %s; before %s\n  appended %s %s\n  after %s\n", of.Reversed[0].Way, of.Before, of.Events[0].Type, of.Events[0].Data, of.After)
	return nil
}
