package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/proof"
)

func (a *app) checkProof() *cobra.Command {
	var roots []string
	c := &cobra.Command{
		Use:   "check-proof FILE",
		Short: "Check what a proof shows, without a store",
		Long: "Check a proof that annals prove made, with nothing but the roots that you trust: one that you\n" +
			"kept, or that was published. A proof that does not hold ends with exit code 1, and one that\n" +
			"is about other roots than yours with 5. Without --root it shows only what the root says\n" +
			"that the proof names itself, and whoever made it could choose that.",
		Example: "  annals check-proof 17.proof --root \"$KEPT\"\n  annals prove 17 | annals check-proof -",
		Args:    takes,
	}
	c.Flags().StringArrayVar(&roots, "root", nil, "a root that you trust, SIZE:HASH; again for the other one of an extension")
	explainStore(c, "")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var trusted []proof.Root
		for _, s := range roots {
			r, err := proof.ParseRoot(s)
			if err != nil {
				return err
			}
			trusted = append(trusted, r)
		}
		in, err := a.input(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(in, proof.MaxProofBytes+1))
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
		p, err := proof.Parse(text)
		if err != nil {
			return err
		}
		if err := p.Check(trusted...); err != nil {
			return err
		}
		// The empty log, whose root everybody knows, is the beginning of any other.
		return a.printShown(&p, slices.ContainsFunc(trusted, func(r proof.Root) bool { return r.Size > 0 || r == p.Root }))
	}
	return c
}

// shown is what --json prints of a proof that holds.
type shown struct {
	Kind    proof.Kind `json:"kind"`
	Root    string     `json:"root"`
	From    string     `json:"from,omitempty"`
	Event   any        `json:"event,omitempty"`
	Trusted bool       `json:"trusted"` // by a root that was given, other than that of the empty log
}

func (a *app) printShown(p *proof.Proof, trusted bool) error {
	if a.asJSON {
		s := shown{Kind: p.Kind, Root: p.Root.String(), Trusted: trusted}
		if p.Kind == proof.Extension {
			s.From = p.From.String()
		} else {
			s.Event = p.Event
		}
		return a.printJSON(s)
	}
	if p.Kind == proof.Extension {
		fmt.Fprintf(a.out, "the log of root %v begins with that of %v\n", p.Root, p.From)
	} else {
		fmt.Fprintf(a.out, "%s@%d is at position %d of the log of root %v\n%s\n", p.Event.Stream, p.Event.Version, p.Event.Position, p.Root, visible(p.Event.AppendJSON(nil, true)))
	}
	if !trusted {
		fmt.Fprintln(a.out, "this is shown for the root that the proof names itself: whether it is that of your log, only a root that you kept can tell, with --root")
	}
	return nil
}

// visible is JSON from a stranger for a terminal, without what a terminal obeys.
func visible(text []byte) []byte {
	if bytes.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		var b []byte
		for len(text) > 0 {
			r, n := utf8.DecodeRune(text)
			if unicode.IsPrint(r) {
				b = append(b, text[:n]...)
			} else {
				b = fmt.Appendf(b, `\u%04x`, r)
			}
			text = text[n:]
		}
		return b
	}
	return text
}
