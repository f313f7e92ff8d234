package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/proof"
)

// verified is what --json prints.
type verified struct {
	Events   int64     `json:"events"`
	Streams  int64     `json:"streams"`
	OK       bool      `json:"ok"`
	Problems []string  `json:"problems"`
	Waiting  int64     `json:"waiting"`        // commits that the log does not hold yet
	Root     *compared `json:"root,omitempty"` // with --root or --witness
}

// compared is what came of comparing the log with a root.
type compared struct {
	Given     string          `json:"given"`
	Log       string          `json:"log"` // the log's own, for as many events as it has of them
	Same      bool            `json:"same"`
	Unchained int64           `json:"unchained,string"` // commits of earlier formats
	Findings  []proof.Finding `json:"findings"`
	Unlisted  int64           `json:"unlisted,string"` // findings beyond those
}

func (a *app) verify() *cobra.Command {
	root, witness := "", ""
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check every event and every index entry of a store",
		Long: "Check every event and every index entry of a store. With --root also whether the log is still\n" +
			"the one that annals root printed that root of, whatever came behind: a changed byte, a\n" +
			"removed event, and events in another order are named, also where all checksums were made\n" +
			"to fit. What only the root can tell is a part of the log as narrow as --witness has it.",
		Example: "  annals verify\n  annals verify --root \"$KEPT\" --witness today.witness",
		Args:    takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := noneEmpty(cmd, "root", "witness"); err != nil {
				return err
			}
			check, mend := a.verifyDirectory, "damage of the index is mended by annals reindex, damage of the log by a backup"
			if a.isDynamo() {
				check, mend = a.verifyTables, "restore the tables with point-in-time recovery, or the objects that are named"
			}
			v, err := check(cmd.Context())
			if err == nil && (root != "" || witness != "") {
				err = a.verifyRoot(cmd.Context(), &v, root, witness)
			}
			if err != nil {
				return err
			}
			if err := a.printVerified(v); err != nil || v.OK {
				return err
			}
			if v.Root != nil && !v.Root.Same && root != "" && !strings.Contains(root, ":") {
				mend = "a HASH without its size is compared with the whole log: where that has grown since, give SIZE:HASH; else " + mend
			}
			return &annals.Error{Code: annals.CodeDamaged, Message: plural(len(v.Problems), "problem") + " in " + a.store, Hint: mend}
		},
	}
	c.Flags().StringVar(&root, "root", "", "a root of the log that was kept: SIZE:HASH, or HASH alone for that of the whole log")
	c.Flags().StringVar(&witness, "witness", "", "the file that annals root --witness wrote with that root")
	return c
}

func newVerified(events, streams, waiting int64, problems []string) verified {
	return verified{Events: events, Streams: streams, OK: len(problems) == 0, Problems: append([]string{}, problems...), Waiting: waiting}
}

func (a *app) verifyDirectory(context.Context) (verified, error) {
	dir, err := a.directory("verify")
	if err != nil {
		return verified{}, err
	}
	bar := a.progress(-1, "verifying")
	defer bar.close()
	r, err := embedded.Verify(dir, &embedded.Options{Progress: bar.at})
	return newVerified(r.Events, r.Streams, 0, r.Problems), err
}

func (a *app) verifyTables(ctx context.Context) (v verified, err error) {
	if err := a.known(); err != nil {
		return v, err
	}
	err = a.withTables(ctx, 0, func(driver *dynamo.Driver) error {
		bar := a.progress(-1, "verifying")
		defer bar.close()
		r, err := driver.Verify(ctx, bar.at)
		v = newVerified(r.Events, r.Streams, r.Waiting, r.Problems)
		return err
	})
	return v, err
}

// verifyRoot compares the log with a root, a witness or both.
func (a *app) verifyRoot(ctx context.Context, v *verified, root, witness string) error {
	var opts proof.VerifyOptions
	if witness != "" {
		file, err := a.input(ctx, witness)
		if err != nil {
			return err
		}
		opts.Witness, err = proof.ReadWitness(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	bar := a.progress(v.Events, "comparing with the root")
	defer bar.close()
	opts.Progress = bar.at
	var r proof.Report
	var given proof.Root
	err := a.with(ctx, false, func(store *annals.Store) (err error) {
		if given, err = givenRoot(ctx, store, root, opts.Witness); err == nil {
			r, err = proof.Verify(ctx, store, given, &opts)
		}
		return err
	})
	if errors.Is(err, annals.ErrDamaged) && !v.OK {
		v.Problems = append(v.Problems, "the log was not compared with the root, as it can't be read: "+err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	v.Root = &compared{given.String(), r.Root.String(), r.Root == given, r.Unchained, append([]proof.Finding{}, r.Findings...), r.Unlisted}
	for _, f := range r.Findings {
		v.Problems = append(v.Problems, f.String())
	}
	if r.Unlisted > 0 {
		v.Problems = append(v.Problems, fmt.Sprintf("… and %d more that differ from the root", r.Unlisted))
	}
	v.OK = len(v.Problems) == 0
	return nil
}

// givenRoot is the root that was given: a hash alone is that of the whole log.
func givenRoot(ctx context.Context, store *annals.Store, root string, w *proof.Witness) (proof.Root, error) {
	if root == "" {
		return w.Root, nil
	}
	if strings.Contains(root, ":") {
		return proof.ParseRoot(root)
	}
	hash, err := annals.ParseHash(root)
	if err != nil {
		return proof.Root{}, annals.Invalid("--root", "must be SIZE:HASH or a HASH of 64 hexadecimal digits, not %.100q", root)
	}
	end, err := store.End(ctx)
	return proof.Root{Size: end, Hash: hash}, err
}

func (a *app) printVerified(v verified) error {
	if a.asJSON {
		return a.printJSON(v)
	}
	for _, problem := range v.Problems {
		fmt.Fprintln(a.out, problem)
	}
	verdict := "all is well"
	if !v.OK {
		verdict = plural(len(v.Problems), "problem")
	}
	if v.Root != nil && v.Root.Same {
		fmt.Fprintf(a.out, "the log has the root %s\n", v.Root.Given)
	}
	if v.Root != nil && v.Root.Unchained > 0 {
		fmt.Fprintf(a.out, "%s of an earlier format, without the hash of the one before it\n", plural(int(v.Root.Unchained), "commit"))
	}
	_, err := fmt.Fprintf(a.out, "%s in %s checked: %s\n", plural(int(v.Events), "event"), plural(int(v.Streams), "stream"), verdict)
	if err == nil && v.Waiting > 0 {
		waits := "wait"
		if v.Waiting == 1 {
			waits = "waits"
		}
		_, err = fmt.Fprintf(a.out, "%s %s to be numbered, which annals sequence does\n", plural(int(v.Waiting), "commit"), waits)
	}
	return err
}
