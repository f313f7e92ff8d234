package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/httpapi"
)

func (a *app) parked() *cobra.Command {
	c := group("parked", "List, retry, edit and drop the events that a projection could not handle")
	c.Long = "List, retry, edit and drop the events that a consumer could not handle. Such an event is\n" +
		"parked, and later events of its stream wait behind it. CONSUMER is a projection, which\n" +
		"means its live generation, or a generation such as orders@3. Edits and drops hold for\n" +
		"every later rebuild too; the log keeps the events as they are."
	c.AddCommand(a.parkedList(), a.parkedRetry(), a.parkedEdit(), a.parkedDrop())
	return c
}

func (a *app) parkedList() *cobra.Command {
	var v viewing
	c := &cobra.Command{
		Use: "list [CONSUMER]", Short: "List parked events", Args: takes, ValidArgsFunction: a.completeProjections,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProjections(cmd.Context(), &v, false, func(p *client.Projections) error {
				names := args
				if len(names) == 0 {
					all, err := p.Consumers(cmd.Context())
					if err != nil {
						return err
					}
					for _, c := range all {
						if c.Parked > 0 {
							names = append(names, c.Name)
						}
					}
				}
				return a.printParked(cmd.Context(), p, names)
			})
		},
	}
	v.addFlags(c)
	return c
}

// printParked prints all parked events of each consumer.
func (a *app) printParked(ctx context.Context, p *client.Projections, names []string) error {
	rows := [][]string{{"CONSUMER", "POSITION", "EVENT", "TYPE", "ATTEMPTS", "SINCE", "ERROR"}}
	for _, name := range names {
		page, err := p.Parked(ctx, name, 0, 1)
		if err != nil {
			return err
		}
		all := httpapi.ParkedPage{Consumer: page.Consumer, Parked: []consumer.Parked{}}
		events, err := parkedEvents(ctx, p, name)
		if err != nil {
			return err
		}
		all.Parked = append(all.Parked, events...)
		if a.asJSON {
			if err := a.printJSON(all); err != nil {
				return err
			}
			continue
		}
		for i := range all.Parked {
			rows = append(rows, parkedRow(&all.Parked[i]))
		}
	}
	if a.asJSON {
		return nil
	}
	if len(rows) == 1 {
		_, err := fmt.Fprintln(a.out, "no event is parked")
		return err
	}
	return table(a.out, rows)
}

func parkedRow(p *consumer.Parked) []string {
	why := strings.ReplaceAll(worded(p.Error), "\n", " ")
	switch {
	case p.Waiting:
		why = "waits behind an earlier event of its stream"
	case p.Retry:
		why = "to be tried again: " + why
	}
	return []string{p.Consumer, fmt.Sprint(p.Position), fmt.Sprintf("%s@%d", p.Stream, p.Version), p.Type, fmt.Sprint(p.Attempts), p.Since.Format("2006-01-02 15:04:05Z07:00"), why}
}

func (a *app) parkedRetry() *cobra.Command {
	var v viewing
	c := &cobra.Command{
		Use: "retry CONSUMER [POSITION…]", Short: "Try parked events again: all that failed, or these", Args: takes, ValidArgsFunction: a.completeProjections,
		RunE: func(cmd *cobra.Command, args []string) error {
			positions := make([]int64, len(args)-1)
			for i, s := range args[1:] {
				var err error
				if positions[i], err = parsePosition(s); err != nil {
					return err
				}
			}
			return a.withProjections(cmd.Context(), &v, true, func(p *client.Projections) error {
				return a.retry(cmd.Context(), p, args[0], positions)
			})
		},
	}
	v.addFlags(c)
	return c
}

func parsePosition(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || s[0] == '+' {
		return 0, usage(fmt.Sprintf("POSITION must be a number from 1, not %q", s), "annals parked list shows the positions")
	}
	return n, nil
}

// retry asks for a retry and tells what came of it.
func (a *app) retry(ctx context.Context, p *client.Projections, name string, positions []int64) error {
	s, err := newSettlement(ctx, p, name, positions)
	if err != nil {
		return err
	}
	if len(positions) == 0 {
		if len(s.before) == 0 {
			return a.settle(s)
		}
		positions = []int64{0} // all
	}
	for _, position := range positions {
		if _, err := p.Retry(ctx, s.consumer, position); err != nil {
			return err
		}
	}
	return a.settle(s)
}

func (a *app) parkedEdit() *cobra.Command {
	var v viewing
	var data, reason string
	c := &cobra.Command{
		Use: "edit CONSUMER POSITION", Short: "Handle a parked event with other data, and try it again", Args: takes, ValidArgsFunction: a.completeProjections,
		Example: "  annals parked edit orders 17 --data mended.json --reason 'total was a string'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if data == "" {
				return usage("parked edit needs --data", "give a file, or - for the standard input")
			}
			text, err := a.file(cmd.Context(), data)
			if err != nil {
				return err
			}
			return a.decide(cmd, &v, args, reason, func(p *client.Projections, name string, position int64) (httpapi.Asked, error) {
				return p.Edit(cmd.Context(), name, position, text, reason)
			})
		},
	}
	v.addFlags(c)
	c.Flags().StringVar(&data, "data", "", "a file with the data that the event is to be handled with, or - (required)")
	addReason(c, &reason)
	return c
}

// file reads a file, or the standard input for -, up to one byte past what data
// may have.
func (a *app) file(ctx context.Context, name string) (data []byte, err error) {
	in, err := a.input(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return io.ReadAll(io.LimitReader(in, annals.MaxDataBytes+1))
}

func addReason(c *cobra.Command, reason *string) {
	c.Flags().StringVar(reason, "reason", "", "why, for those who come later (required)")
}

func (a *app) parkedDrop() *cobra.Command {
	var v viewing
	reason := ""
	c := &cobra.Command{
		Use: "drop CONSUMER POSITION", Short: "Pass a parked event over", Args: takes, ValidArgsFunction: a.completeProjections,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.decide(cmd, &v, args, reason, func(p *client.Projections, name string, position int64) (httpapi.Asked, error) {
				return p.Drop(cmd.Context(), name, position, reason)
			})
		},
	}
	v.addFlags(c)
	addReason(c, &reason)
	return c
}

// decide sends a decision about an event and tells what came of it.
func (a *app) decide(cmd *cobra.Command, v *viewing, args []string, reason string, send func(*client.Projections, string, int64) (httpapi.Asked, error)) error {
	position, err := parsePosition(args[1])
	if err != nil {
		return err
	}
	if strings.TrimSpace(reason) == "" {
		return usage("parked "+cmd.Name()+" needs --reason", "say why, for those who come later")
	}
	return a.withProjections(cmd.Context(), v, true, func(p *client.Projections) error {
		s, err := newSettlement(cmd.Context(), p, args[0], []int64{position})
		if err != nil {
			return err
		}
		asked, err := send(p, s.consumer, position)
		if err != nil {
			return err
		}
		if asked.Retrying == 0 {
			return a.noted(s, position)
		}
		return a.settle(s)
	})
}

// noted tells that a decision was kept whose event has its turn later.
func (a *app) noted(s *settlement, position int64) error {
	if a.asJSON {
		return a.printSettled(s, 1)
	}
	_, err := fmt.Fprintf(a.out, "noted; event %d waits behind an earlier one of its stream that failed\n", position)
	return err
}
