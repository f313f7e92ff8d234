package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
)

// app is what the commands share.
type app struct {
	in     io.Reader
	out    *bufio.Writer
	errs   io.Writer
	clock  func() time.Time
	store  string
	asJSON bool
	ran    bool // a command has begun: what fails from here on is not its usage
}

// Run runs one command line and returns its exit code. It prints an error
// itself. Canceling ctx ends the command in order, as an interrupt does.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{in: stdin, out: bufio.NewWriter(stdout), errs: stderr, clock: time.Now}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if flush := a.out.Flush(); err == nil {
		err = flush
	}
	if err == nil {
		return 0
	}
	if !a.ran && annals.CodeOf(err) == annals.CodeInternal {
		err = usage(err.Error(), "annals --help lists the commands, annals COMMAND --help the flags")
	}
	a.explain(err)
	return annals.CodeOf(err).Info().Exit
}

const defaultStore = "./annals-data"

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "annals",
		Short: "An event store: audit, replay and time travel for Go teams",
		Long: "Annals keeps every change of a system as an immutable event.\n\n" +
			"A store is a directory, which one process has open at a time, or the address of a\n" +
			"server that has it open. Exit codes: 0 done, 1 internal, 2 usage, 3 conflict,\n" +
			"4 not found, 5 invalid input, 6 unavailable, 7 unknown outcome.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(*cobra.Command, []string) { a.ran = true },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.store, "store", defaultStore, "the store: a directory or http://HOST:PORT")
	flags.BoolVar(&a.asJSON, "json", false, "print JSON")
	for _, command := range []func() *cobra.Command{
		a.serve, a.append, a.read, a.log, a.ingest, a.trace, a.verify, a.reindex, a.backup, a.bench, a.demo, a.version,
	} {
		root.AddCommand(command())
	}
	return root
}

func usage(message, hint string) error {
	return &annals.Error{Code: annals.CodeUsage, Message: message, Hint: hint}
}

// problem describes err for a person at a terminal.
func problem(err error) httpapi.Problem {
	p := httpapi.NewProblem(err)
	// Each layer names itself, and a request its address; one name is enough.
	p.Detail = strings.ReplaceAll(p.Detail, ": annals: ", ": ")
	var request *url.Error
	if errors.As(err, &request) {
		p.Detail = strings.ReplaceAll(p.Detail, request.Error(), request.Err.Error())
	}
	if p.Code == annals.CodeCanceled && p.Detail == context.Canceled.Error() {
		p.Detail = "interrupted"
	}
	return p
}

// explain prints an error: a problem with --json.
func (a *app) explain(err error) {
	p := problem(err)
	if a.asJSON {
		// Nothing is left to be done where stderr can't be written.
		_ = json.NewEncoder(a.errs).Encode(p)
		return
	}
	fmt.Fprintln(a.errs, "annals: "+p.Detail)
	if p.Hint != "" {
		fmt.Fprintln(a.errs, "  → "+p.Hint)
	}
}

func (a *app) isRemote() bool {
	return strings.HasPrefix(a.store, "http://") || strings.HasPrefix(a.store, "https://")
}

// directory is the store for commands that work on files.
func (a *app) directory(command string) (string, error) {
	if a.isRemote() {
		return "", usage("annals "+command+" works on a directory, not on "+a.store, "run it where the store is, with --store DIR")
	}
	return a.store, a.known()
}

func (a *app) known() error {
	if scheme, _, ok := strings.Cut(a.store, "://"); ok && !a.isRemote() {
		return usage("there is no kind of store "+scheme+"://", "--store takes a directory or http://HOST:PORT")
	}
	return nil
}

// open opens the store; a directory without one is made only if create is set.
func (a *app) open(create bool) (*annals.Store, error) {
	if err := a.known(); err != nil {
		return nil, err
	}
	if a.isRemote() {
		return client.Open(a.store, nil)
	}
	bar := a.progress(-1, "reading the log")
	defer bar.close()
	return embedded.Open(a.store, &embedded.Options{MustExist: !create, Progress: bar.at})
}

// with runs f on the store and closes it.
func (a *app) with(create bool, f func(*annals.Store) error) error {
	store, err := a.open(create)
	if err != nil {
		return err
	}
	return errors.Join(f(store), store.Close())
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
