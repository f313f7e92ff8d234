package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/proof"
)

// A proving is what annals prove is asked for.
type proving struct {
	size               *sized
	root, extends, out string
}

func (a *app) prove() *cobra.Command {
	var p proving
	c := &cobra.Command{
		Use:   "prove [POSITION]",
		Short: "Prove that an event is in the log, or that the log goes on from an older root",
		Long: "Make a proof, as JSON: that the event at POSITION is in the log of a root, or with --extends\n" +
			"that the log of a root begins with that of an older one. annals check-proof checks it\n" +
			"without a store, for whoever has the root. It holds the event as it is stored: data that\n" +
			"is sealed for a subject stays sealed.",
		Example: "  annals prove 17 --out 17.proof\n  annals prove 17 --root \"$KEPT\"\n  annals prove --extends \"$KEPT\"",
		Args:    takes,
	}
	p.size = sizeFlag(c, "by the root of the first so many events (default all)")
	c.Flags().StringVar(&p.root, "root", "", "by this root, SIZE:HASH, which the log must have")
	c.Flags().StringVar(&p.extends, "extends", "", "prove that the log begins with that of this older root, SIZE:HASH")
	c.Flags().StringVar(&p.out, "out", "", "write the proof to this file, which must not be there (default standard output)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := noneEmpty(cmd, "root", "extends", "out"); err != nil {
			return err
		}
		switch {
		case p.root != "" && p.size.given():
			return usage("--root and --at both name a root", "give one of them")
		case (len(args) == 0) == (p.extends == ""):
			return usage("prove takes a POSITION, or --extends with an older root", help(cmd)+" says more")
		}
		return a.withProver(cmd.Context(), func(from prover) error {
			made, err := p.make(cmd.Context(), from, args)
			if err != nil {
				return err
			}
			return a.handOver(&made, p.out)
		})
	}
	return c
}

// make makes the proof, and compares it with the roots that were given.
func (p *proving) make(ctx context.Context, from prover, args []string) (made proof.Proof, err error) {
	var given []proof.Root
	root := func(s string) (r proof.Root) {
		if s != "" && err == nil {
			if r, err = proof.ParseRoot(s); err == nil {
				given = append(given, r)
			}
		}
		return r
	}
	to, old := root(p.root), root(p.extends)
	position := int64(0)
	if len(args) > 0 && err == nil {
		if position, err = strconv.ParseInt(args[0], 10, 64); err != nil || position < 1 {
			err = annals.Invalid("POSITION", "must be a whole number from 1, not %.40q", args[0])
		}
	}
	if err == nil && p.root == "" {
		to, err = p.size.of(ctx, from)
	}
	if err != nil {
		return made, err
	}
	if len(args) > 0 {
		made, err = from.Inclusion(ctx, position, to.Size)
	} else {
		made, err = from.Extension(ctx, old.Size, to.Size)
	}
	if err != nil {
		return made, err
	}
	for _, r := range given {
		if r != made.Root && r != made.From {
			return made, otherLog(r, &made)
		}
	}
	return made, nil
}

// otherLog is the error of a log that does not have the root r.
func otherLog(r proof.Root, made *proof.Proof) error {
	has := made.Root
	if has.Size != r.Size {
		has = made.From
	}
	return &annals.Error{
		Code: annals.CodeDamaged, Message: fmt.Sprintf("the first %s of the log have not the root %s, but %s: something was changed, or it is another log", plural(int(r.Size), "event"), r.Hash, has.Hash),
		Hint: "annals verify --root names what was changed",
	}
}

// madeProof is what --json prints of a proof in a file.
type madeProof struct {
	File string          `json:"file"`
	Kind proof.Kind      `json:"kind"`
	Root httpapi.LogRoot `json:"root"`
}

func (a *app) handOver(made *proof.Proof, name string) error {
	text := append(made.AppendJSON(nil), '\n')
	if name == "" {
		_, err := a.out.Write(text)
		return err
	}
	if err := writeNew(name, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	if a.asJSON {
		return a.printJSON(madeProof{name, made.Kind, httpapi.NewLogRoot(made.Root)})
	}
	_, err := fmt.Fprintf(a.out, "%s holds a proof by the root %v\n", name, made.Root)
	return err
}
