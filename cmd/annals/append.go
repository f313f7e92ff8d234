package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
)

func (a *app) append() *cobra.Command {
	var e annals.Event
	var data, expect, at, about string
	wait := false
	c := &cobra.Command{
		Use:   "append STREAM",
		Short: "Append an event to a stream",
		Example: `  annals append order-7 --type order-placed --data '{"total":12.5}' --expect 0
  annals append order-7 --type order-paid --data @paid.json --id payment-4711`,
		Args: takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("type") {
				return usage("append needs --type", "say what happened, for example --type order-placed")
			}
			expected, err := parseExpect(expect)
			if err != nil {
				return err
			}
			if e.Time, err = parseTime("time", at); err != nil {
				return err
			}
			if e.Data, err = a.data(cmd.Context(), data); err != nil {
				return err
			}
			if about != "" {
				e.Attributes = map[string]string{annals.SubjectAttribute: about}
			}
			for name, value := range map[string]string{"id": e.ID, "source": e.Source, "content-type": e.ContentType, "data-subject": about} {
				if value == "" && cmd.Flags().Changed(name) {
					return annals.Invalid(name, "must not be empty")
				}
			}
			// A refused event must not leave a new store behind.
			if _, err := annals.New(validator{}, nil).Append(cmd.Context(), args[0], expected, e); err != nil {
				return err
			}
			return a.appendOne(cmd.Context(), args[0], expected, e, wait)
		},
	}
	f := c.Flags()
	f.StringVar(&e.Type, "type", "", "what happened, such as order-placed (required)")
	f.StringVar(&data, "data", "", "JSON, @FILE, or @- for the standard input")
	f.StringVar(&e.ID, "id", "", "makes repeating the command harmless; a new one by default")
	f.StringVar(&e.Source, "source", "", "what the event comes from")
	f.StringVar(&at, "time", "", "when it happened (RFC 3339); now by default")
	f.StringVar(&e.Correlation, "correlation", "", "the request that the event belongs to")
	f.StringVar(&about, "data-subject", "", "whom the data is about, by a pseudonym: it is sealed with that subject's key")
	f.StringVar(&e.Causation, "causation", "", "the event that led to it, as STREAM@VERSION")
	f.StringVar(&e.ContentType, "content-type", "", "media type of the data; JSON by default")
	f.BoolVar(&wait, "wait", false, "wait for the position, where a store gives it later (DynamoDB)")
	f.StringVar(&expect, "expect", "any", "the stream's version: a number, 0 for no stream, or any")
	return c
}

func (a *app) appendOne(ctx context.Context, stream string, expected int64, e annals.Event, wait bool) error {
	return a.with(ctx, true, func(store *annals.Store) error {
		commit, err := store.Append(ctx, stream, expected, e)
		if err != nil {
			return err
		}
		if wait {
			if commit, err = store.Wait(ctx, commit); err != nil {
				return &annals.Error{
					Code: annals.CodeOf(err), Err: err,
					Message: fmt.Sprintf("%s is at version %d, and the event is stored; its position did not come", stream, commit.Version),
					Hint:    "don't append it again; annals sequence numbers the log of a store on DynamoDB",
				}
			}
		}
		return a.printCommit(commit)
	})
}

// A validator is a driver that stores nothing, for what Store.Append checks.
type validator struct{ annals.Driver }

// Append implements annals.Driver.
func (validator) Append(context.Context, string, int64, []annals.Event) (annals.Commit, error) {
	return annals.Commit{}, nil
}

// Remote implements annals.RemoteDriver: another store seals.
func (validator) Remote() {}

func (a *app) printCommit(c annals.Commit) error {
	if a.asJSON {
		return a.printJSON(httpapi.NewCommit(c))
	}
	stored := ""
	if c.Replayed {
		stored = " (stored before)"
	}
	position := ""
	if c.Position > 0 { // else the log will number it
		position = fmt.Sprintf(", position %d", c.Position)
	}
	_, err := fmt.Fprintf(a.out, "%s is at version %d%s%s\n", c.Stream, c.Version, position, stored)
	return err
}

func parseExpect(s string) (int64, error) {
	if s == "any" {
		return annals.Any, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || s[0] == '+' {
		return 0, annals.Invalid("expect", "must be a version, 0 for no stream, or any")
	}
	return n, nil
}

func parseTime(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, annals.Invalid(name, "must be an RFC 3339 time such as 2020-05-01T20:00:00Z")
	}
	return t, nil
}

// data is what --data stands for. One byte over the limit is enough to refuse it.
func (a *app) data(ctx context.Context, s string) (data []byte, err error) {
	name, isFile := strings.CutPrefix(s, "@")
	if !isFile {
		return []byte(s), nil
	}
	in, err := a.input(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return io.ReadAll(io.LimitReader(in, annals.MaxDataBytes+1))
}
