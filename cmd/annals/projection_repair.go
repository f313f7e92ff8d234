package main

import (
	"github.com/spf13/cobra"

	"github.com/eb901187/annals/effect"
)

func (a *app) projectionRepair() *cobra.Command {
	var v viewing
	r := rebuilding{app: a, repair: &effect.RepairOptions{}}
	c := &cobra.Command{
		Use: "repair NAME", Short: "Build a view anew and show which outside calls would now differ", Args: takes, ValidArgsFunction: a.completeProjections,
		Long: "Build a view anew, as annals projection rebuild does, and compare the outside calls that\n" +
			"its folds make for events from --from on with those that were made then. Nothing is sent.\n" +
			"annals effect diff shows what differs, annals effect approve has corrections sent.\n" +
			"Projections from files make no outside calls: they are only rebuilt.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRange(cmd, r.repair); err != nil {
				return err
			}
			if r.leave && (r.switchOver || !a.isRemote()) {
				return usage("--no-wait needs a server that goes on building, and can't switch to what is not built yet", "leave it out, or name a server with --store http://… and leave --switch out")
			}
			r.ctx, r.names = cmd.Context(), args
			return a.withProjections(cmd.Context(), &v, true, r.run)
		},
	}
	v.addFlags(c)
	addRange(c, r.repair)
	c.Flags().BoolVar(&r.switchOver, "switch", false, "let reads be answered from it once it has caught up")
	c.Flags().BoolVar(&r.leave, "no-wait", false, "begin it and let the server build it (http:// only)")
	return c
}

// addRange adds what says which events a repair is about.
func addRange(c *cobra.Command, o *effect.RepairOptions) {
	c.Flags().Int64Var(&o.From, "from", 0, "the position of the first event (required)")
	c.Flags().Int64Var(&o.To, "to", 0, "the position of the last event; by default the last that was handled")
	c.Flags().StringVar(&o.Reason, "reason", "", "why, for those who come later")
}

func checkRange(c *cobra.Command, o *effect.RepairOptions) error {
	name := c.Parent().Name() + " " + c.Name()
	switch {
	case !c.Flags().Changed("from"):
		return usage(name+" needs --from", "annals log shows the positions of events; 1 is the first")
	case o.From < 1:
		return usage("--from must be a position from 1", "annals log shows the positions of events")
	case c.Flags().Changed("to") && o.To < o.From:
		return usage("--to must not lie before --from", "annals log shows the positions of events")
	}
	return nil
}

// repaired says what came of the comparison.
func repaired(b *build) string {
	if g := b.generation(); g == nil || g.Repair == nil {
		return b.name + " makes no outside calls: it was only rebuilt"
	}
	return "annals effect diff " + b.name + " shows which outside calls differ"
}
