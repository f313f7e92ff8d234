package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

// app is what the commands share.
type app struct {
	in     io.Reader
	out    *bufio.Writer
	errs   io.Writer
	logger *slog.Logger // writes to errs
	clock  func() time.Time
	store  string
	asJSON bool

	tokenFile     string
	tokenVariable string // of the environment
	ca            string // a file of certificates

	keysAddress string           // of the keys of data subjects; see keyring
	keysOpened  *subject.Keyring // by keyring

	command *cobra.Command // that runs
}

// Run runs one command line and returns its exit code. It prints an error
// itself. Canceling ctx ends the command in order, as an interrupt does.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{tokenVariable: tokenVariable, in: stdin, out: bufio.NewWriter(stdout), errs: stderr, clock: time.Now, logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{ReplaceAttr: redacted}))}
	root := a.root()
	a.command = root
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := usageErr(root, root.ExecuteContext(ctx))
	if flush := a.out.Flush(); err == nil {
		err = flush
	}
	if err == nil {
		return 0
	}
	a.explain(err)
	return annals.CodeOf(err).Info().Exit
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "annals",
		Short: "An event store: audit, replay and time travel for Go teams",
		Long: "Annals keeps every change of a system as an immutable event.\n\n" +
			"A store is a directory, which one process has open at a time, the address of a server\n" +
			"that has it open, or tables in DynamoDB, which any number of processes have open.\n" +
			"Exit codes: 0 done, 1 internal, 2 usage, 3 conflict, 4 not found, 5 invalid input,\n" +
			"6 unavailable, 7 unknown outcome.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(c *cobra.Command, _ []string) { a.command = c },
	}
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand())
	flags := root.PersistentFlags()
	flags.StringVar(&a.store, "store", defaultStore, "the store: a directory, http://HOST:PORT or dynamodb://NAME?region=…&bucket=…")
	flags.StringVar(&a.tokenFile, "token-file", "", "file that holds the token for a server that asks for one (default the variable "+tokenVariable+")")
	flags.StringVar(&a.ca, "ca", "", "PEM file of the authorities that may vouch for an https:// server; the system's by default (default the variable "+caVariable+")")
	a.addKeys(flags)
	flags.BoolVar(&a.asJSON, "json", false, "print JSON")
	for _, command := range []func() *cobra.Command{
		a.init, a.serve, a.sequence, a.append, a.read, a.streams, a.log, a.ingest, a.trace, a.verify, a.logRoot, a.prove, a.checkProof, a.reindex, a.backup, a.fork, a.erase, a.keys, a.projection, a.view, a.state, a.reverse, a.parked, a.reaction, a.effect, a.playback, a.dlq, a.token, a.gateway, a.bench, a.demo, a.version,
	} {
		root.AddCommand(command())
	}
	return root
}

func (a *app) printJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(text, '\n'))
	return err
}

// bar is a progress bar on a terminal, and nothing elsewhere.
type bar struct{ *progressbar.ProgressBar }

func (a *app) progress(total int64, what string) bar {
	file, ok := a.errs.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return bar{}
	}
	return bar{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.errs), progressbar.OptionSetDescription(what), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("events"), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(total > 0))}
}

// of shows that n of total events are done.
func (b bar) of(n, total int64) {
	if b.ProgressBar != nil && total > 0 {
		b.ChangeMax64(total)
		b.at(n)
	}
}

// at shows that n events are done. What a terminal can't show is lost.
func (b bar) at(n int64) {
	if b.ProgressBar != nil {
		_ = b.Set64(n)
	}
}

func (b bar) close() {
	if b.ProgressBar != nil {
		_ = b.Finish()
		_ = b.Clear()
	}
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND…]",
		Short: "Say more about a command",
		Args:  takes,
		RunE: func(c *cobra.Command, args []string) error {
			of := c.Root()
			for _, name := range args {
				i := slices.IndexFunc(of.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
				if i < 0 {
					return unknownCommand(of, name)
				}
				of = of.Commands()[i]
			}
			return of.Help()
		},
	}
}
