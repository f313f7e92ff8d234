package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/kinesis"
	"github.com/eb901187/annals/playback"
)

// openKinesis makes a client of Kinesis: in the region of a dynamodb:// store, else in
// that of the environment.
func (a *app) openKinesis(ctx context.Context) (*sdk.Client, error) {
	if err := a.known(); err != nil {
		return nil, err
	}
	address := dynamo.Address{}
	if a.isDynamo() {
		var err error
		if address, err = dynamo.ParseAddress(a.store); err != nil {
			return nil, err
		}
	}
	config, err := dynamo.Configuration(ctx, address)
	if err != nil {
		return nil, err
	}
	if address.Region != "" {
		config.Region = address.Region
	}
	if config.Region == "" {
		return nil, usage("no AWS region is set, in which the Kinesis stream would be", "set AWS_REGION")
	}
	return sdk.NewFromConfig(config), nil
}

// kinesisTarget makes what a playback to Kinesis is sent to.
func (a *app) kinesisTarget(ctx context.Context) (func(playback.Destination) (playback.Target, error), error) {
	client, err := a.openKinesis(ctx)
	return func(to playback.Destination) (playback.Target, error) {
		return kinesis.Target(client, to.Name, nil), nil
	}, err
}

func (a *app) playbackRead() *cobra.Command {
	stream, id, since := "", "", ""
	latest, exact, opts := false, false, kinesis.ReaderOptions{Clock: a.clock}
	c := &cobra.Command{
		Use: "read", Short: "Read the events of playbacks from a Kinesis stream, as a subscriber does", Args: takes,
		Long: "Read the events of playbacks from a Kinesis stream, as a subscriber does: each once,\n" +
			"those of one stream in order. What the stream still holds is read to its end. The AWS\n" +
			"region is that of a dynamodb:// store, else AWS_REGION; the store itself is not read.",
		Example: "  annals playback read --kinesis annals-playback --playback april --json\n" +
			"  annals playback read --kinesis annals-playback --latest --follow",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := noneEmpty(cmd, "kinesis", "playback", "since"); err != nil {
				return err
			}
			if stream == "" {
				return usage("no Kinesis stream is named", "name one with --kinesis")
			}
			if latest && since != "" {
				return usage("--latest and --since both say where to begin", "leave one of them out")
			}
			if err := kinesis.CheckName(stream); err != nil {
				return err
			}
			if opts.Since, err = parseTime("since", since); err != nil {
				return err
			}
			if !opts.Since.IsZero() && opts.Since.After(a.clock()) {
				return annals.Invalid("since", "lies in the future, and Kinesis begins at no such time")
			}
			opts.Latest = latest
			client, err := a.openKinesis(cmd.Context())
			if err != nil {
				return err
			}
			events := kinesis.NewReader(client, stream, &opts).Playback(cmd.Context(), id)
			_, err = a.printEvents(a.flushing(a.readable(events)), exact, a.logLine)
			if opts.Follow && cmd.Context().Err() != nil {
				return nil // which is how following ends
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&stream, "kinesis", "", "the name of the Kinesis stream")
	f.StringVar(&id, "playback", "", "only the events of the playback with this id")
	f.StringVar(&since, "since", "", "only what arrived on the stream from this time on (RFC 3339)")
	f.BoolVar(&latest, "latest", false, "only what arrives from now on")
	f.BoolVar(&opts.Follow, "follow", false, "go on with new events as they arrive")
	addExact(c, &exact)
	return c
}

// readable names the records that can't be read, and goes on behind them.
func (a *app) readable(events iter.Seq2[annals.Event, error]) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		for e, err := range events {
			var record *kinesis.RecordError
			if errors.As(err, &record) {
				p := problem(err)
				fmt.Fprintln(a.errs, "annals: "+p.Detail)
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
