package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
)

func (a *app) projection() *cobra.Command {
	c := group("projection", "List, build, compare and switch views")
	c.Long = "List, build, compare and switch views. A projection folds events into a view; its file\n" +
		"says which events and how, see docs/projections.md. annals serve keeps views up to date.\n" +
		"On a directory, these commands open store and views themselves and work in the\n" +
		"foreground; on http:// the server does the work."
	c.AddCommand(a.projectionList(), a.projectionShow(), a.projectionRebuild(), a.projectionRepair(), a.projectionSwitch(), a.projectionRollback(),
		a.projectionSteer("pause", "Stop a projection where it is", (*client.Projections).Pause),
		a.projectionSteer("resume", "Let a paused projection go on", (*client.Projections).Resume),
		a.projectionDelete(), a.projectionDiff())
	return c
}

// group is a command that only holds others.
func group(name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("annals "+name+" needs a command", help(c)+" lists them")
			}
			return unknownCommand(c, args[0])
		},
	}
}

func (a *app) projectionList() *cobra.Command {
	var v viewing
	c := &cobra.Command{
		Use: "list", Short: "List projections: what is live, how far it has come, what is being built", Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withProjections(cmd.Context(), &v, false, func(p *client.Projections) error {
				all, err := p.List(cmd.Context())
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(httpapi.Projections{Projections: all})
				}
				return a.printProjections(all)
			})
		},
	}
	v.addFlags(c)
	return c
}

func (a *app) projectionShow() *cobra.Command {
	var v viewing
	c := &cobra.Command{
		Use: "show NAME", Short: "Show the generations of a projection", Args: takes, ValidArgsFunction: a.completeProjections,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProjections(cmd.Context(), &v, false, func(p *client.Projections) error {
				return a.showInfo(p.Show(cmd.Context(), args[0]))
			})
		},
	}
	v.addFlags(c)
	return c
}

func (a *app) projectionSteer(name, short string, do func(*client.Projections, context.Context, string) (projection.Info, error)) *cobra.Command {
	var v viewing
	c := &cobra.Command{
		Use: name + " NAME", Short: short, Args: takes, ValidArgsFunction: a.completeProjections,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProjections(cmd.Context(), &v, false, func(p *client.Projections) error {
				return a.showInfo(do(p, cmd.Context(), args[0]))
			})
		},
	}
	v.addFlags(c)
	return c
}

func (a *app) projectionSwitch() *cobra.Command {
	var v viewing
	var generation int
	var force, dry bool
	c := &cobra.Command{
		Use: "switch NAME", Short: "Let reads be answered from the generation that was built", Args: takes, ValidArgsFunction: a.completeProjections,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProjections(cmd.Context(), &v, false, func(p *client.Projections) error {
				if dry {
					return a.showPlan(p.PlanSwitch(cmd.Context(), args[0], generation, force))
				}
				return a.showInfo(p.Switch(cmd.Context(), args[0], generation, force))
			})
		},
	}
	v.addFlags(c)
	c.Flags().IntVar(&generation, "generation", 0, "only if it is this one that goes live, as a --dry-run has said; 0 for whichever was built last")
	c.Flags().BoolVar(&force, "force", false, "although it is behind, or has parked events that the live one has not")
	addDryRun(c, &dry)
	return c
}

func (a *app) projectionRollback() *cobra.Command {
	var v viewing
	var force, dry bool
	c := &cobra.Command{
		Use: "rollback NAME", Short: "Let reads be answered from the generation that was live before", Args: takes, ValidArgsFunction: a.completeProjections,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProjections(cmd.Context(), &v, false, func(p *client.Projections) error {
				if dry {
					return a.showPlan(p.PlanRollback(cmd.Context(), args[0], force))
				}
				return a.showInfo(p.Rollback(cmd.Context(), args[0], force))
			})
		},
	}
	v.addFlags(c)
	c.Flags().BoolVar(&force, "force", false, "although it is behind the live one")
	addDryRun(c, &dry)
	return c
}

func addDryRun(c *cobra.Command, dry *bool) {
	c.Flags().BoolVar(dry, "dry-run", false, "say what would be done, and do nothing")
}

func (a *app) projectionDelete() *cobra.Command {
	var v viewing
	var dry, all bool
	generation := 0
	c := &cobra.Command{
		Use: "delete NAME", Short: "Remove a generation, or with --all the whole view", Args: takes, ValidArgsFunction: a.completeProjections,
		Long: "Remove a generation that is not live, or with --all the whole view. The events stay: a\n" +
			"view can be built again. What was decided about parked events stays too.",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch given := cmd.Flags().Changed("generation"); {
			case given == all:
				return usage("projection delete needs --generation N or --all", "annals projection show "+args[0]+" lists the generations")
			case given && generation < 1:
				return usage("--generation must be a number from 1", "annals projection show "+args[0]+" lists the generations")
			}
			return a.withProjections(cmd.Context(), &v, false, func(p *client.Projections) error {
				if dry {
					return a.showPlan(p.PlanDelete(cmd.Context(), args[0], generation))
				}
				return a.showInfo(p.Delete(cmd.Context(), args[0], generation))
			})
		},
	}
	v.addFlags(c)
	c.Flags().IntVar(&generation, "generation", 0, "the generation to remove")
	c.Flags().BoolVar(&all, "all", false, "all of them, the live one too")
	addDryRun(c, &dry)
	return c
}

func (a *app) projectionDiff() *cobra.Command {
	var v viewing
	generations, limit := "", 0
	c := &cobra.Command{
		Use: "diff NAME", Short: "Compare two generations document by document", Args: takes, ValidArgsFunction: a.completeProjections,
		RunE: func(cmd *cobra.Command, args []string) error {
			x, y, err := parsePair(generations)
			if err != nil {
				return err
			}
			return a.withProjections(cmd.Context(), &v, false, func(p *client.Projections) error {
				diff, err := p.Diff(cmd.Context(), args[0], x, y, limit)
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(diff)
				}
				return a.printDiff(&diff)
			})
		},
	}
	v.addFlags(c)
	c.Flags().StringVar(&generations, "generations", "", "which two, as A,B; by default the live one and the one being built, else the previous one")
	c.Flags().IntVar(&limit, "limit", 0, "the most differences to show; 100 by default, up to 1000")
	return c
}

// parsePair reads A,B; zeros for nothing.
func parsePair(s string) (a, b int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	x, y, two := strings.Cut(s, ",")
	a, errA := strconv.Atoi(x)
	b, errB := strconv.Atoi(y)
	if !two || errA != nil || errB != nil || a < 1 || b < 1 {
		return 0, 0, usage(fmt.Sprintf("--generations takes two numbers such as 1,2, not %q", s), "annals projection show lists the generations")
	}
	return a, b, nil
}

func (a *app) showInfo(info projection.Info, err error) error {
	switch {
	case err != nil:
		return err
	case a.asJSON:
		return a.printJSON(info)
	}
	return a.printInfo(&info)
}

func (a *app) showPlan(plan projection.Plan, err error) error {
	switch {
	case err != nil:
		return err
	case a.asJSON:
		return a.printJSON(plan)
	}
	for _, change := range plan.Changes {
		fmt.Fprintf(a.out, "generation %d of %s would be %s, and is %s now\n", change.Generation, plan.Projection, change.To, change.From)
	}
	_, err = fmt.Fprintln(a.out, "nothing was changed")
	return err
}
