package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

func (a *app) view() *cobra.Command {
	var v viewing
	var span view.Range
	var opts projection.ReadOptions
	patience := time.Duration(0)
	c := &cobra.Command{
		Use: "view PROJECTION [KEY]", Short: "Read the documents of a projection", Args: takes, ValidArgsFunction: a.completeProjections,
		Long: "Read a document of a projection, or a page of them. annals serve keeps views up to date.\n" +
			"On a directory nobody does while it is not served; --wait brings the view up to date first.",
		Example: "  annals view orders order-7 --wait 12\n  annals view orders --prefix order- --limit 10",
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, n := range map[string]int64{"wait": opts.Wait, "generation": int64(opts.Generation), "limit": int64(span.Limit)} {
				if n < 0 {
					return usage("--"+name+" must not be negative", help(cmd)+" says more")
				}
			}
			if len(args) == 2 && (span != view.Range{}) {
				return usage("--prefix, --after and --limit choose among documents, and KEY names one", "leave one or the other out")
			}
			read := &client.ReadOptions{ReadOptions: opts, Patience: patience}
			return a.withProjections(cmd.Context(), &v, opts.Wait > 0, func(p *client.Projections) error {
				if opts.Wait == 0 {
					a.noteLag(cmd.Context(), p, args[0])
				}
				if len(args) == 2 {
					return a.viewOne(cmd.Context(), p, args[0], args[1], read)
				}
				return a.viewPage(cmd.Context(), p, args[0], span, read)
			})
		},
	}
	v.addFlags(c)
	f := c.Flags()
	f.StringVar(&span.Prefix, "prefix", "", "only keys that start so")
	f.StringVar(&span.After, "after", "", "only keys behind this one")
	f.IntVar(&span.Limit, "limit", 0, "the most documents; 100 by default, up to 1000")
	f.Int64Var(&opts.Wait, "wait", 0, "a position that the view must reflect, such as that of an append")
	f.DurationVar(&patience, "patience", 0, "how long to wait for it, up to 60s; 10s by default")
	f.IntVar(&opts.Generation, "generation", 0, "another generation than the live one")
	return c
}

// noteLag says on stderr that the view in a directory is behind, where nobody
// brings it up to date meanwhile.
func (a *app) noteLag(ctx context.Context, p *client.Projections, name string) {
	if a.isRemote() || a.isDynamo() || a.asJSON {
		return
	}
	info, err := p.Show(ctx, name)
	if err != nil {
		return // reading the view will tell
	}
	if live := liveOf(&info); live != nil && live.Status.Lag > 0 {
		fmt.Fprintf(a.errs, "the view is at position %d; --wait %d brings it up to date\n", live.Status.Position, live.Status.End)
	}
}

func (a *app) viewOne(ctx context.Context, p *client.Projections, name, key string, opts *client.ReadOptions) error {
	doc, _, err := p.Document(ctx, name, key, opts)
	if err != nil {
		return err
	}
	return a.printDocument(doc.Data)
}

// printDocument prints JSON in lines for people, and as it is with --json.
func (a *app) printDocument(data []byte) error {
	var lines bytes.Buffer
	if a.asJSON || json.Indent(&lines, data, "", "  ") != nil {
		lines.Reset()
		lines.Write(data)
	}
	_, err := fmt.Fprintln(a.out, lines.String())
	return err
}

func (a *app) viewPage(ctx context.Context, p *client.Projections, name string, span view.Range, opts *client.ReadOptions) error {
	page, err := p.Documents(ctx, name, span, opts)
	if err != nil {
		return err
	}
	if a.asJSON {
		return a.printJSON(page)
	}
	for _, doc := range page.Documents {
		fmt.Fprintf(a.out, "%8d  %-24s  %s\n", doc.Position, doc.Key, shortDocument(doc.Document))
	}
	_, err = fmt.Fprintf(a.out, "%s of generation %d, which reflects position %d\n", plural(len(page.Documents), "document"), page.Generation, page.Position)
	if err == nil && page.Next != "" {
		_, err = fmt.Fprintf(a.out, "there are more: --after %s\n", page.Next)
	}
	return err
}
