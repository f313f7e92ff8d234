package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
)

// usageErr words cobra's own error about a command line for people.
func usageErr(root *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	if m := notFound.FindStringSubmatch(err.Error()); m != nil {
		if name, err := strconv.Unquote(m[1]); err == nil {
			return unknownCommand(root, name)
		}
	}
	return err
}

func usage(message, hint string) error {
	return &annals.Error{Code: annals.CodeUsage, Message: message, Hint: hint}
}

// noneEmpty refuses flags with an empty value, as that of a variable which is not set:
// what they are to choose would be everything, and what they are to hide, nothing.
func noneEmpty(c *cobra.Command, names ...string) error {
	for _, name := range names {
		f := c.Flags().Lookup(name)
		if value := f.Value.String(); f.Changed && (value == "" || value == "[]") {
			return usage("--"+name+" is empty", "give it a value, or leave it out")
		}
	}
	return nil
}

// explain prints an error: a problem with --json.
func (a *app) explain(err error) {
	p := problem(err)
	if next := a.nextStep(&p); next != "" && p.Hint == p.Code.Info().Hint {
		p.Hint = next
	}
	p.Detail, p.Hint = withoutSecrets(p.Detail), withoutSecrets(p.Hint)
	for i := range p.Violations {
		p.Violations[i].Message = withoutSecrets(p.Violations[i].Message)
	}
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

// problem describes err for a person at a terminal.
func problem(err error) httpapi.Problem {
	p := httpapi.NewProblem(err)
	// Each layer names itself, and a request its address; one name is enough.
	p.Detail = strings.ReplaceAll(p.Detail, ": annals: ", ": ")
	var request *url.Error
	if errors.As(err, &request) {
		p.Detail = strings.ReplaceAll(p.Detail, request.Error(), request.Err.Error())
	}
	if p.Code == annals.CodeCanceled && strings.HasPrefix(p.Detail, context.Canceled.Error()) {
		p.Detail = "interrupted"
	}
	return p
}

// nextStep is what to do about a problem that does not say it itself.
func (a *app) nextStep(p *httpapi.Problem) string {
	switch p.Code {
	case annals.CodeConflict:
		if p.Stream == "" {
			return "" // not one of appending, which says itself what to do
		}
		return fmt.Sprintf("annals read %s shows what is there now; if the event is still right, append it with --expect %s", p.Stream, p.Actual)
	case annals.CodeIDReused:
		return fmt.Sprintf("annals read %s --from %s --limit 1 shows what has this id; give another event another --id", p.Stream, p.Version)
	case annals.CodeInvalid, annals.CodeInvalidJSON, annals.CodeTooLarge:
		return "mend it and run the command again; " + help(a.command) + " says what it takes"
	case annals.CodeUnavailable:
		if a.isRemote() {
			return "check that " + a.store + " is the address of annals serve"
		}
	}
	return ""
}

func help(c *cobra.Command) string { return c.CommandPath() + " --help" }

// called is c as people type it behind annals.
func called(c *cobra.Command) string {
	_, name, _ := strings.Cut(c.CommandPath(), " ")
	return name
}

// takes checks the arguments against those that the command's usage line names.
func takes(c *cobra.Command, args []string) error {
	names := strings.Fields(c.Use)[1:]
	switch {
	case len(args) < len(names) && names[len(args)][0] != '[':
		name, _, _ := strings.Cut(names[len(args)], "…")
		return usage(called(c)+" needs a "+name, help(c)+" says more")
	case len(args) > len(names) && len(names) == 0:
		return usage(called(c)+" takes no arguments, and got "+args[0], help(c)+" says more")
	case len(args) > len(names) && !strings.Contains(names[len(names)-1], "…"):
		wants := "one " + strings.Trim(names[0], "[]")
		if len(names) > 1 {
			wants = strings.Join(names, " ")
		}
		return usage(fmt.Sprintf("%s takes %s, and got %d arguments", called(c), wants, len(args)), help(c)+" says more")
	}
	return nil
}

// near are the names that may be meant by one that is not known.
func near(name string, known []string) []string {
	names := cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		names.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	return names.SuggestionsFor(name)
}

// unknownCommand is the error of a command that parent has not got.
func unknownCommand(parent *cobra.Command, name string) error {
	var known []string
	for _, c := range parent.Commands() {
		known = append(known, c.Name())
	}
	path := parent.CommandPath() + " "
	hint := path + "--help lists the commands"
	if len(known) == 0 {
		hint = help(parent) + " says more"
	}
	if names := near(name, known); len(names) > 0 {
		hint = "did you mean " + path + strings.Join(names, " or "+path) + "?"
	}
	_, group, _ := strings.Cut(path, " ")
	return usage(fmt.Sprintf("there is no command %q", group+name), hint)
}

// What cobra says in text only.
var (
	notFound    = regexp.MustCompile(`^unknown command (".*") for "annals"`)
	listedFlag  = regexp.MustCompile(`(?m)^\s+(?:-\w, )?--(\S+)`)
	unknownFlag = regexp.MustCompile(`^unknown flag: --(\S+)`)
	invalidFlag = regexp.MustCompile(`(?s)^invalid argument (".*") for "(?:-\w, )?--([^"]+)" flag`)
)

// flagError words what the flags library says for people.
func flagError(c *cobra.Command, err error) error {
	if m := unknownFlag.FindStringSubmatch(err.Error()); m != nil {
		var known []string
		for _, name := range listedFlag.FindAllStringSubmatch(c.Flags().FlagUsages(), -1) {
			known = append(known, name[1])
		}
		hint := help(c) + " lists the flags"
		if names := near(m[1], known); len(names) > 0 {
			hint = "did you mean --" + strings.Join(names, " or --") + "?"
		}
		return usage(called(c)+" has no flag --"+m[1], hint)
	}
	if m := invalidFlag.FindStringSubmatch(err.Error()); m != nil {
		wants := "a whole number"
		if f := c.Flags().Lookup(m[2]); f != nil && !slices.Contains([]string{"int", "int64"}, f.Value.Type()) {
			switch f.Value.Type() {
			case "bool":
				wants = "true or false"
			case "duration":
				wants = "a time such as 250ms"
			case "float64":
				wants = "a number"
			default:
				wants = "a list with commas"
			}
		}
		return usage("--"+m[2]+" takes "+wants+", not "+m[1], help(c)+" says more")
	}
	return usage(err.Error(), help(c)+" says more")
}
