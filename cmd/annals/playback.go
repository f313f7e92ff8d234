package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
)

func (a *app) playback() *cobra.Command {
	c := group("playback", "Send a part of the log again, and follow how far that is")
	c.Long = "Send a part of the log again: to a file, to another store, to a stream of the same\n" +
		"store, to a Kinesis stream, into a new generation of a projection, or to subscribers over\n" +
		"HTTP. Order is kept, on Kinesis within each stream, and each event is marked with the\n" +
		"playback's id. A playback is recorded in its store, so that it can be stopped and resumed\n" +
		"from anywhere."
	c.AddCommand(a.playbackStart(), a.playbackList(), a.playbackShow(), a.playbackStop(), a.playbackResume(), a.playbackRead())
	return c
}

// playbackFlags say which events, and where to.
var playbackFlags = []string{"streams", "types", "sources", "correlation", "since", "until", "to-file", "to-store", "to-stream", "to-kinesis", "projection"}

func (a *app) playbackStart() *cobra.Command {
	s := starting{app: a}
	c := &cobra.Command{
		Use: "start", Short: "Send the events of a selection again, up to the end of the log as it is now", Args: takes,
		Long: "Send the events of a selection again, in the order of the log, up to its end as it is now.\n" +
			"Without a target a playback has subscribers only: GET /v1/playbacks/ID/events. Events\n" +
			"get the attributes playback, the id, and playbackof, as STREAM@VERSION. Ctrl-C stops;\n" +
			"annals playback resume goes on. On http:// the server sends to streams, projections,\n" +
			"Kinesis if it serves a dynamodb:// store, and subscribers, and goes on by itself; files\n" +
			"and stores are written from here.",
		Example: "  annals playback start --streams 'order-*' --since 2020-05-01T00:00:00Z --to-file orders.ndjson\n" +
			"  annals playback start --types order-placed --to-stream again --rate 100\n" +
			"  annals playback start --streams order-7,order-8 --to-store ./copy --dry-run",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := noneEmpty(cmd, playbackFlags...); err != nil {
				return err
			}
			return s.run(cmd.Context())
		},
	}
	f := c.Flags()
	f.StringSliceVar(&s.selection.Streams, "streams", nil, "only these streams, separated by commas; a trailing * stands for any rest of a name")
	f.StringSliceVar(&s.selection.Types, "types", nil, "only these types, separated by commas")
	f.StringSliceVar(&s.selection.Sources, "sources", nil, "only these sources, separated by commas")
	f.StringVar(&s.selection.Correlation, "correlation", "", "only the events of this request")
	f.StringVar(&s.since, "since", "", "only times from this one on (RFC 3339)")
	f.StringVar(&s.until, "until", "", "only times up to this one (RFC 3339)")
	f.Int64Var(&s.selection.From, "from", 0, "only positions from this one on")
	f.Int64Var(&s.selection.To, "to", 0, "only positions up to this one; 0 for the end of the log")
	f.StringVar(&s.file, "to-file", "", "send to a new file, as annals ingest --ordered reads it")
	f.StringVar(&s.store, "to-store", "", "send to another store: a directory, http://HOST:PORT or dynamodb://NAME?region=…&bucket=…")
	f.StringVar(&s.stream, "to-stream", "", "send to the stream "+playback.StreamPrefix+"NAME of the same store")
	f.StringVar(&s.kinesis, "to-kinesis", "", "send to this AWS Kinesis stream, in the region of a dynamodb:// store or of AWS_REGION")
	f.StringVar(&s.projection, "projection", "", "build a generation of this projection from the selection only, beside the live one")
	s.views.addFlags(c)
	f.Float64Var(&s.rate, "rate", 0, "the most events a second; 0 for no limit")
	f.StringVar(&s.id, "id", "", "the playback's id; random by default")
	f.BoolVar(&s.leave, "no-wait", false, "leave it to the server (http:// only)")
	f.BoolVar(&s.dry, "dry-run", false, "count what would be sent, and do nothing")
	return c
}

// starting is one run of playback start.
type starting struct {
	app                 *app
	selection           playback.Selection
	since, until        string
	file, store, stream string
	projection, kinesis string
	views               viewing
	id                  string
	rate                float64
	leave, dry          bool
}

// destination is what the flags name.
func (s *starting) destination() (to playback.Destination, err error) {
	for _, of := range []playback.Destination{{Kind: playback.KindFile, Name: s.file}, {Kind: playback.KindStore, Name: s.store}, {Kind: playback.KindStream, Name: s.stream}, {Kind: playback.KindKinesis, Name: s.kinesis}, {Kind: playback.KindProjection, Name: s.projection}} {
		switch {
		case of.Name == "":
		case to.Kind != "":
			return to, usage("a playback goes to one target, and two are named: "+to.String()+" and "+of.String(), "leave one of them out")
		default:
			to = of
		}
	}
	return to, nil
}

func (s *starting) run(ctx context.Context) error {
	a := s.app
	to, err := s.destination()
	if err != nil {
		return err
	}
	if s.selection.Since, err = parseTime("since", s.since); err != nil {
		return err
	}
	if s.selection.Until, err = parseTime("until", s.until); err != nil {
		return err
	}
	if err := s.selection.Check(); err != nil {
		return err
	}
	if s.dry {
		return a.with(ctx, false, func(store *annals.Store) error {
			counts, err := playback.Count(ctx, store, s.selection)
			if err != nil {
				return err
			}
			return a.printCounts(&counts)
		})
	}
	work := playing{app: a, ctx: ctx, leave: s.leave, views: s.views}
	return work.begin(to, playbackBeginning{
		check: func(store *annals.Store) error {
			return playback.CheckStart(ctx, store, s.selection, &playback.Options{ID: s.id, Rate: s.rate})
		},
		here: func(store *annals.Store, target playback.Target, opts *playback.Options) (*playback.Run, error) {
			opts.ID, opts.Rate = s.id, s.rate
			return playback.Start(ctx, store, s.selection, target, opts)
		},
		there: func(p *client.Playbacks) (playback.Playback, error) {
			return p.Start(ctx, httpapi.PlaybackRequest{ID: s.id, Selection: s.selection, Target: to, Rate: s.rate})
		},
	})
}

func (a *app) playbackList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List playbacks, the newest first", Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				all, err := playback.List(cmd.Context(), store, a.playbackOptions())
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(httpapi.Playbacks{Playbacks: all})
				}
				return a.printPlaybacks(all)
			})
		},
	}
}

func (a *app) playbackOptions() *playback.Options { return &playback.Options{Clock: a.clock} }

func (a *app) playbackShow() *cobra.Command {
	return &cobra.Command{
		Use: "show PLAYBACK", Short: "Show what a playback sends where, and how far it has come", Args: takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				p, err := playback.Show(cmd.Context(), store, args[0], a.playbackOptions())
				if err != nil {
					return err
				}
				return a.printPlayback(&p)
			})
		},
	}
}

func (a *app) playbackStop() *cobra.Command {
	reason := ""
	c := &cobra.Command{
		Use: "stop PLAYBACK", Short: "Stop a playback where it is, whoever runs it", Args: takes,
		Long: "Stop a playback where it is, whoever runs it: that process notices within seconds.\n" +
			"annals playback resume goes on from there.",
		RunE: func(cmd *cobra.Command, args []string) error {
			print := func(p playback.Playback, err error) error {
				if err != nil {
					return err
				}
				return a.printPlayback(&p)
			}
			if a.isRemote() {
				return a.withPlaybacks(func(p *client.Playbacks) error { return print(p.Stop(cmd.Context(), args[0], reason)) })
			}
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				return print(playback.Stop(cmd.Context(), store, args[0], reason, a.playbackOptions()))
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for those who come later")
	return c
}

func (a *app) playbackResume() *cobra.Command {
	leave, views := false, viewing{}
	c := &cobra.Command{
		Use: "resume PLAYBACK", Short: "Go on with a playback that was stopped, interrupted or failed", Args: takes,
		Long: "Go on with a playback that was stopped, was interrupted or has failed, behind what its\n" +
			"target holds. Whoever still runs it ends within seconds.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, id := cmd.Context(), args[0]
			work := playing{app: a, ctx: ctx, leave: leave, views: views}
			return work.resume(id, playbackBeginning{
				here: func(store *annals.Store, target playback.Target, opts *playback.Options) (*playback.Run, error) {
					return playback.Resume(ctx, store, id, target, opts)
				},
				there: func(p *client.Playbacks) (playback.Playback, error) { return p.Resume(ctx, id) },
			})
		},
	}
	views.addFlags(c)
	c.Flags().BoolVar(&leave, "no-wait", false, "leave it to the server (http:// only)")
	return c
}

func (a *app) printCounts(c *playback.Counts) error {
	if a.asJSON {
		return a.printJSON(c)
	}
	rows := [][]string{{"TYPE", "EVENTS"}}
	for _, typ := range sortedKeys(c.Types) {
		rows = append(rows, []string{typ, fmt.Sprint(c.Types[typ])})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "%s of %s, from position %d to %d, with %d bytes of data; nothing was sent\n",
		plural(int(c.Events), "event"), plural(int(c.Streams), "stream"), c.First, c.Last, c.Bytes)
	return err
}

func (a *app) printPlaybacks(all []playback.Playback) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(a.out, "no playbacks; annals playback start --help says how to begin one")
		return err
	}
	rows := [][]string{{"ID", "STATE", "EVENTS", "POSITION", "END", "TARGET", "STARTED"}}
	for i := range all {
		p := &all[i]
		rows = append(rows, []string{p.ID, string(p.State), fmt.Sprint(p.Count), fmt.Sprint(p.Position), fmt.Sprint(p.End), p.Target.String(), p.Started.Format(time.RFC3339)})
	}
	return table(a.out, rows)
}

func (a *app) printPlayback(p *playback.Playback) error {
	if a.asJSON {
		return a.printJSON(p)
	}
	rows := [][]string{
		{"playback", p.ID}, {"state", string(p.State)}, {"selection", selectionText(&p.Selection)}, {"target", p.Target.String()},
		{"sent", fmt.Sprintf("%s, up to position %d of %d", plural(int(p.Count), "event"), p.Position, p.End)},
		{"started", fmt.Sprintf("%s by %s", p.Started.Format(time.RFC3339), p.By)},
		{"recorded", fmt.Sprintf("%s by %s", p.Updated.Format(time.RFC3339), p.Runner)},
	}
	if p.Rate > 0 {
		rows = append(rows, []string{"rate", fmt.Sprintf("up to %v events/s", p.Rate)})
	}
	for _, more := range [][]string{{"reason", p.Reason}, {"error", p.Error}} {
		if more[1] != "" {
			rows = append(rows, more)
		}
	}
	return table(a.out, rows)
}

// selectionText is a selection in the words of the flags.
func selectionText(s *playback.Selection) string {
	var parts []string
	for _, c := range s.Criteria() {
		parts = append(parts, c.Name+" "+strings.Join(c.Values, ","))
	}
	return cmp.Or(strings.Join(parts, ", "), "all")
}
