package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/proof"
)

// A prover is a proof.Tree, or a server that has one.
type prover interface {
	Latest(ctx context.Context) (proof.Root, error)
	Root(ctx context.Context, size int64) (proof.Root, error)
	Inclusion(ctx context.Context, position, size int64) (proof.Proof, error)
	Extension(ctx context.Context, from, to int64) (proof.Proof, error)
}

// withProver runs f on what makes proofs of the store.
func (a *app) withProver(ctx context.Context, f func(prover) error) error {
	if err := a.known(); err != nil {
		return err
	}
	if a.isRemote() {
		opts, err := a.remote()
		if err != nil {
			return err
		}
		server, err := client.OpenProofs(a.store, opts)
		if err != nil {
			return err
		}
		return errors.Join(f(server), server.Close())
	}
	return a.with(ctx, false, func(store *annals.Store) error {
		bar := a.progress(-1, "reading the log")
		defer bar.close()
		return f(proof.NewTree(store, &proof.TreeOptions{Progress: bar.at}))
	})
}

// sized is a flag for a number of events, which may be 0.
type sized struct {
	at    int64
	given func() bool
}

func sizeFlag(c *cobra.Command, meaning string) *sized {
	s := &sized{given: func() bool { return c.Flags().Changed("at") }}
	c.Flags().Int64Var(&s.at, "at", 0, meaning)
	return s
}

// of is the root that the flag names, that of the whole log without it.
func (s *sized) of(ctx context.Context, p prover) (proof.Root, error) {
	if !s.given() {
		return p.Latest(ctx)
	}
	if s.at < 0 {
		return proof.Root{}, annals.Invalid("--at", "must not be negative")
	}
	return p.Root(ctx, s.at)
}

func (a *app) logRoot() *cobra.Command {
	witness, block := "", int64(0)
	c := &cobra.Command{
		Use:   "root",
		Short: "Print the root of the log: a hash that no other events have",
		Long: "Print the root of the log as SIZE:HASH. Keep it where nobody who can write to the store can\n" +
			"change it, or publish it: annals verify --root then finds whatever is changed later, and\n" +
			"annals prove shows to others what is in the log of it. This reads the whole log once.\n" +
			"With --witness it also writes the hashes of blocks of events, which let annals verify name\n" +
			"the block that was changed; whoever has the root can trust the file wherever it was kept.",
		Example: "  annals root\n  annals root --at 1000 --json\n  annals root --witness today.witness",
		Args:    takes,
	}
	size := sizeFlag(c, "of the first so many events (default all)")
	c.Flags().StringVar(&witness, "witness", "", "write the hashes of blocks to this file, which must not be there")
	c.Flags().Int64Var(&block, "block", proof.DefaultWitnessBlock, "events of a block of the witness, a power of two: 32 bytes each")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := noneEmpty(cmd, "witness"); err != nil {
			return err
		}
		if witness != "" {
			return a.rootWithWitness(cmd.Context(), size, witness, block)
		}
		if cmd.Flags().Changed("block") {
			return usage("--block is about a witness", "give --witness FILE too")
		}
		return a.withProver(cmd.Context(), func(p prover) error {
			root, err := size.of(cmd.Context(), p)
			if err != nil {
				return err
			}
			return a.printRoot(root)
		})
	}
	return c
}

func (a *app) printRoot(root proof.Root) error {
	if a.asJSON {
		return a.printJSON(httpapi.NewLogRoot(root))
	}
	_, err := fmt.Fprintln(a.out, root)
	return err
}

func (a *app) rootWithWitness(ctx context.Context, size *sized, name string, block int64) error {
	if err := a.known(); err != nil {
		return err
	}
	if a.isRemote() {
		return usage("annals root --witness works on a directory or a dynamodb:// store, not on "+a.store, "run it where the store is, with the --store of that server")
	}
	return a.with(ctx, false, func(store *annals.Store) error {
		n := size.at
		if !size.given() {
			end, err := store.End(ctx)
			if err != nil {
				return err
			}
			n = end
		}
		bar := a.progress(n, "reading the log")
		w, err := proof.MakeWitness(ctx, store, n, block, bar.at)
		bar.close()
		if err != nil {
			return err
		}
		if err := writeNew(name, w.Write); err != nil {
			return err
		}
		return a.printRoot(w.Root)
	})
}

// writeNew makes a file. One that is there is left as it is: it may be evidence.
func writeNew(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &annals.Error{Code: annals.CodeInvalid, Message: "there is a file " + name + " already", Hint: "name another one, or remove it yourself"}
	}
	if err == nil {
		if err = errors.Join(write(f), f.Sync(), f.Close()); err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}
	if err != nil {
		return &annals.Error{Code: annals.CodeInvalid, Message: "the file " + name + " could not be written", Err: err, Hint: "name a file in a directory that may be written, with room for it"}
	}
	return nil
}
