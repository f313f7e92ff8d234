package main

import (
	"context"
	"errors"
	"os/user"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// operations are the commands that change what operators decide about, with what the
// operators' log calls them. On a server's store, the server notes what they do.
var operations = map[string]string{
	"projection pause": "projection.pause", "projection resume": "projection.resume", "projection rebuild": "projection.rebuild", "projection switch": "projection.switch",
	"projection rollback": "projection.rollback", "projection delete": "projection.delete", "projection repair": "projection.repair", "reaction repair": "reaction.repair",
	"parked retry": "parked.retry", "parked edit": "parked.edit", "parked drop": "parked.drop",
	"playback start": "playback.start", "playback stop": "playback.stop", "playback resume": "playback.resume",
	"effect resolve": "effect.resolve", "effect approve": "effect.approve", "effect reject": "effect.reject", "reverse": "reversal.apply", "dlq retry": "dlq.retry", "dlq drop": "dlq.drop", "erase": "subject.erase",
}

// operation is what the command that runs is called in the operators' log; empty if it
// is none of an operator, or only says what it would do.
func (a *app) operation() string {
	if f := a.command.Flags().Lookup("dry-run"); f != nil && f.Value.String() == "true" {
		return ""
	}
	return operations[called(a.command)]
}

// operated runs f on the store, and notes what an operator did on it without a server,
// however f ends.
func (a *app) operated(ctx context.Context, store *annals.Store, f func(*annals.Store) error) (err error) {
	what := a.operation()
	if what == "" || a.isRemote() {
		return f(store)
	}
	returned := false
	defer func() {
		if !returned {
			err = errors.New("the command panicked; how far it came is not known")
		}
		if invalid := (*annals.InvalidError)(nil); errors.As(err, &invalid) || err != nil && slices.Contains(untried, annals.CodeOf(err)) {
			return
		}
		action := access.Action{Who: access.LocalUser(osUser()).Name, What: what, Target: strings.Join(a.command.Flags().Args(), "/")}
		if reason := a.command.Flags().Lookup("reason"); reason != nil {
			action.Detail = reason.Value.String()
		}
		if err != nil {
			action.Error = err.Error()
		}
		a.note(ctx, store, action)
	}()
	err = f(store)
	returned = true
	return err
}

// untried are the codes of errors before which nothing was tried.
var untried = []annals.Code{annals.CodeUsage, annals.CodeInvalidJSON}

// osUser is who runs this process, for the operating system.
func osUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// note records an action, or says that it could not be.
func (a *app) note(ctx context.Context, store *annals.Store, action access.Action) {
	action.At = a.clock()
	if err := access.Record(ctx, store, action); err != nil {
		a.logger.Error("an operator's action could not be noted", "what", action.What, "target", action.Target, "who", action.Who, "error", err)
	}
}
