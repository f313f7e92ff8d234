package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/deadletter"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/httpapi"
)

func (a *app) dlq() *cobra.Command {
	c := group("dlq", "List, send again and drop the messages that AWS could not store")
	c.Long = "List, send again and drop the dead letters of a store on AWS: messages that can never be\n" +
		"stored as they are, messages that SQS moved there after too many attempts, and records\n" +
		"about parts of a stream that Lambda gave up on. The queue is NAME-dead-letters for\n" +
		"--store dynamodb://NAME, unless --queue names another."
	c.AddCommand(a.dlqList(), a.dlqRetry(), a.dlqDrop())
	return c
}

// boxFlags are those of the commands of dead letters.
type boxFlags struct {
	queue string
	all   bool
}

func (f *boxFlags) add(c *cobra.Command, choosing bool) {
	c.Flags().StringVar(&f.queue, "queue", "", "the queue of dead letters, by name or URL (default NAME-dead-letters)")
	if choosing {
		c.Flags().BoolVar(&f.all, "all", false, "all letters that the queue has at the start, 10,000 at most")
	}
	c.ValidArgsFunction = cobra.NoFileCompletions // looking for ids would hide letters from others
	explainStore(c, "the store, dynamodb://NAME?region=…&bucket=…")
}

// check refuses a command line that chooses no letters or too many.
func (f *boxFlags) check(c *cobra.Command, ids []string) error {
	if f.all == (len(ids) > 0) {
		return usage(called(c)+" needs one ID or more, or --all", "annals dlq list shows the ids")
	}
	return nil
}

// withBox runs f on the queue of dead letters.
func (a *app) withBox(cmd *cobra.Command, flags *boxFlags, f func(*deadletter.Box) error) error {
	if err := noneEmpty(cmd, "queue"); err != nil {
		return err
	}
	address, err := a.tables("annals dlq", "other stores have no queue; annals parked lists what a consumer could not handle")
	if err != nil {
		return err
	}
	config, err := dynamo.Configuration(cmd.Context(), address)
	if err != nil {
		return err
	}
	name := flags.queue
	if name == "" {
		name = address.Name + "-dead-letters"
	}
	url, err := deadletter.Find(cmd.Context(), config, name)
	if err != nil {
		return err
	}
	box, err := deadletter.New(config, url, &deadletter.Options{Bucket: address.Bucket, Name: address.Name, S3Endpoint: address.S3Endpoint, Clock: a.clock})
	if err != nil {
		return err
	}
	return f(box)
}

// letterList is what dlq list prints with --json.
type letterList struct {
	Queue   string              `json:"queue"`
	Letters []deadletter.Letter `json:"letters"`
	More    bool                `json:"more"` // there may be others
}

func (a *app) dlqList() *cobra.Command {
	var flags boxFlags
	c := &cobra.Command{
		Use: "list", Short: "List dead letters", Args: takes,
		Long: "List the dead letters of the queue, 10,000 at most; --json prints their bodies too. Others\n" +
			"don't see a letter while it is listed, a minute at most, and letters that somebody else\n" +
			"has just received are not listed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBox(cmd, &flags, func(box *deadletter.Box) error {
				list := letterList{Queue: box.Queue(), Letters: []deadletter.Letter{}}
				bar := a.progress(-1, "receiving")
				defer bar.close()
				for l, err := range box.List(cmd.Context()) {
					if err != nil {
						return err
					}
					if !a.asJSON {
						l.Body = ""
					}
					list.Letters = append(list.Letters, l)
					bar.at(int64(len(list.Letters)))
				}
				list.More = len(list.Letters) == deadletter.MaxLetters
				bar.close()
				return a.printLetters(cmd.Context(), box, &list)
			})
		},
	}
	flags.add(c, false)
	return c
}

func (a *app) printLetters(ctx context.Context, box *deadletter.Box, list *letterList) error {
	if a.asJSON {
		return a.printJSON(list)
	}
	hidden, err := box.Hidden(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{{"ID", "KIND", "SINCE", "FROM", "PLACE", "CORRELATION", "BYTES", "REASON"}}
	for i := range list.Letters {
		l := &list.Letters[i]
		since := "-"
		if !l.Time.IsZero() {
			since = l.Time.Format("2006-01-02 15:04:05Z07:00")
		}
		row := []string{l.ID, string(l.Kind), since, l.Source[strings.LastIndexAny(l.Source, ":/")+1:], l.Place, l.Correlation, fmt.Sprint(l.Bytes), l.Reason}
		for i, cell := range row {
			if row[i] = plain(cell); cell == "" {
				row[i] = "-"
			}
		}
		rows = append(rows, row)
	}
	if len(rows) > 1 {
		err = table(a.out, rows)
	} else {
		_, err = fmt.Fprintln(a.out, "no dead letters in "+list.Queue)
	}
	if err == nil && list.More {
		_, err = fmt.Fprintf(a.out, "only the first %d; there may be more\n", len(list.Letters))
	}
	if err == nil && hidden > 0 {
		_, err = fmt.Fprintf(a.out, "%s not shown: somebody has just received them\n", plural(hidden, "letter"))
	}
	return err
}

// plain keeps what strangers wrote from changing the terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !strconv.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, text)
}

func (a *app) dlqRetry() *cobra.Command {
	var flags boxFlags
	c := &cobra.Command{
		Use: "retry [ID…]", Short: "Send dead letters back to where they came from: these, or all", Args: takes,
		Long: "Send dead letters back to the queue or the stream that they came from, and delete each that\n" +
			"was sent. Ids keep a message from being stored twice. Of a part of a Kinesis stream that\n" +
			"Lambda gave up on, the records are put again, behind what has come meanwhile.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := flags.check(cmd, ids); err != nil {
				return err
			}
			return a.withBox(cmd, &flags, func(box *deadletter.Box) error {
				return a.with(cmd.Context(), false, func(*annals.Store) error { // which notes it
					return a.settleLetters(cmd.Context(), box, ids, "sent again", box.Retry)
				})
			})
		},
	}
	flags.add(c, true)
	return c
}

func (a *app) dlqDrop() *cobra.Command {
	var flags boxFlags
	reason := ""
	c := &cobra.Command{
		Use: "drop [ID…]", Short: "Delete dead letters: these, or all", Args: takes,
		Long: "Delete dead letters. The store keeps an event about each, in the stream\n" +
			deadletter.StreamPrefix + "ID: where it came from, why it was refused, the hash of its body,\n" +
			"and the reason that is given here.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := flags.check(cmd, ids); err != nil {
				return err
			}
			if strings.TrimSpace(reason) == "" {
				return usage("dlq drop needs --reason", "say why, for those who come later")
			}
			return a.withBox(cmd, &flags, func(box *deadletter.Box) error {
				return a.with(cmd.Context(), false, func(store *annals.Store) error {
					return a.settleLetters(cmd.Context(), box, ids, "dropped", func(ctx context.Context, ids []string) iter.Seq2[deadletter.Letter, error] {
						return box.Drop(ctx, store, ids, reason)
					})
				})
			})
		},
	}
	flags.add(c, true)
	addReason(c, &reason)
	return c
}

// settledLetters is what dlq retry and dlq drop print with --json.
type settledLetters struct {
	Queue  string         `json:"queue"`
	Done   []string       `json:"done"` // ids
	Failed []failedLetter `json:"failed"`
}

type failedLetter struct {
	ID      string          `json:"id"`
	Problem httpapi.Problem `json:"problem"`
}

// settleLetters does what act does for the letters with these ids, or for all that
// there are, and tells what came of it.
func (a *app) settleLetters(ctx context.Context, box *deadletter.Box, ids []string, done string, act func(context.Context, []string) iter.Seq2[deadletter.Letter, error]) error {
	if len(ids) == 0 {
		for l, err := range box.List(ctx) {
			if err != nil {
				return err
			}
			ids = append(ids, l.ID)
		}
		if len(ids) == deadletter.MaxLetters {
			fmt.Fprintf(a.errs, "annals: these are %d letters; there may be more, for which the command is run again\n", len(ids))
		}
	}
	result := settledLetters{Queue: box.Queue(), Done: []string{}, Failed: []failedLetter{}}
	var first, broken error
	bar := a.progress(int64(len(ids)), "letters")
	defer bar.close()
	for l, err := range act(ctx, ids) {
		switch {
		case err == nil:
			result.Done = append(result.Done, l.ID)
		case l.ID == "":
			broken = err
		default:
			if first == nil {
				first = err
			}
			result.Failed = append(result.Failed, failedLetter{l.ID, problem(err)})
		}
		bar.at(int64(len(result.Done) + len(result.Failed)))
	}
	bar.close()
	return errors.Join(a.printSettledLetters(&result, done), result.verdict(first, broken, done))
}

func (a *app) printSettledLetters(r *settledLetters, done string) error {
	if a.asJSON {
		return a.printJSON(r)
	}
	for _, f := range r.Failed {
		if _, err := fmt.Fprintf(a.errs, "%s: %s\n", plain(f.ID), plain(f.Problem.Detail)); err != nil {
			return err
		}
		if f.Problem.Hint != "" {
			fmt.Fprintln(a.errs, "  → "+f.Problem.Hint)
		}
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", plural(len(r.Done), "letter"), done)
	return err
}

// verdict is how the command ends. The letters that it could not settle are in the
// queue.
func (r *settledLetters) verdict(first, broken error, done string) error {
	if broken != nil {
		return broken
	}
	if first == nil {
		return nil
	}
	return &annals.Error{
		Code: annals.CodeOf(first), Message: fmt.Sprintf("%s could not be %s, and may still be in %s", plural(len(r.Failed), "letter"), done, r.Queue),
		Hint: "see to what is said of each, and run the command again",
	}
}
