package consoletest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// faults are what a browser complains of.
type faults struct {
	mu      sync.Mutex
	seen    []string
	dismiss func() // closes a dialog
}

// see takes an event of the browser.
func (f *faults) see(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			text = "console." + string(e.Type)
			for _, arg := range e.Args {
				text += " " + string(arg.Value) + arg.Description
			}
		}
	case *runtime.EventExceptionThrown:
		text = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded: // violations of the policy and requests that failed, among others
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			text = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled && e.ErrorText != "net::ERR_ABORTED" {
			text = fmt.Sprintf("loading failed: %s %s %s", e.Type, e.ErrorText, e.BlockedReason)
		}
	case *page.EventJavascriptDialogOpening:
		text = fmt.Sprintf("a dialog opened: %s %q", e.Type, e.Message)
	}
	if text == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, text)
	if strings.HasPrefix(text, "a dialog") {
		f.dismiss()
	}
}

// String is what was seen, for the message of a failing test.
func (f *faults) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 {
		return ""
	}
	return "\nthe browser says:\n\t" + strings.Join(f.seen, "\n\t")
}

// Faults are what the browser has complained of since Open or Forget: errors and
// warnings in its console, exceptions, violations of the Content-Security-Policy,
// answers of 400 and more, requests that failed, dialogs that opened.
func (b *Browser) Faults() []string {
	b.t.Helper()
	Eval[int](b, "1") // an answer comes after the events before it
	b.faults.mu.Lock()
	defer b.faults.mu.Unlock()
	return slices.Clone(b.faults.seen)
}

// Forget drops the Faults so far: those of a page that is meant to fail.
func (b *Browser) Forget() {
	b.t.Helper()
	b.Faults()
	b.faults.mu.Lock()
	defer b.faults.mu.Unlock()
	b.faults.seen = nil
}

// NoErrors fails t if there are Faults, and forgets them.
func (b *Browser) NoErrors(t testing.TB) {
	t.Helper()
	for _, fault := range b.Faults() {
		t.Errorf("%s: %s", b.Path(), fault)
	}
	b.Forget()
}
