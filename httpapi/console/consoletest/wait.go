package consoletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Eval is what a JavaScript expression evaluates to; a promise is waited for.
func Eval[T any](b *Browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := evaluate[T](ctx, expression)
	if err != nil {
		b.t.Fatalf("%s\nfailed: %v", expression, err)
	}
	return value
}

func evaluate[T any](ctx context.Context, expression string) (T, error) {
	var value T
	text, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise, func(p *runtime.EvaluateParams) { p.ReturnByValue = new(true) }))
	if errors.Is(err, chromedp.ErrJSUndefined) || errors.Is(err, chromedp.ErrJSNull) || err == nil && len(text) == 0 {
		return value, nil
	}
	if err != nil {
		return value, err
	}
	return value, json.Unmarshal(text, &value)
}

// shown is an expression for the first element of a selector that has a place on
// the page; null if there is none.
func shown(selector string) string {
	text, _ := json.Marshal(selector) // a string always can be
	return fmt.Sprintf(`([...document.querySelectorAll(%s)].find(e => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== "hidden") ?? null)`, text)
}

// until waits until an expression is true, whatever pages come meanwhile.
func (b *Browser) until(what, condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	var last error
	for {
		is, err := evaluate[bool](ctx, "Boolean("+condition+")")
		if is && err == nil {
			return
		}
		if ctx.Err() == nil {
			last = err // a page that goes away takes its script along
		}
		select {
		case <-ctx.Done():
			body, _ := evaluate[string](b.ctx, `location.href + "\n" + document.body.innerText.slice(0, 2000)`)
			b.t.Fatalf("%s: not within %v (last error: %v)%s\nthe page:\n%s", what, patience, last, b.faults.String(), body)
		case <-again.C:
		}
	}
}

// WaitFor waits until an element that selector, in CSS, selects is shown.
func (b *Browser) WaitFor(selector string) {
	b.t.Helper()
	b.until("wait for "+selector, shown(selector)+" !== null")
}

// WaitText waits until the text of such an element holds text.
func (b *Browser) WaitText(selector, text string) {
	b.t.Helper()
	wanted, _ := json.Marshal(text) // a string always can be
	b.until(fmt.Sprintf("wait for %q in %s", text, selector), fmt.Sprintf(`(%s?.innerText ?? "").includes(%s)`, shown(selector), wanted))
}

// WaitGone waits until no element of selector is shown.
func (b *Browser) WaitGone(selector string) {
	b.t.Helper()
	b.until("wait for "+selector+" to go", shown(selector)+" === null")
}

// WaitPath waits until the page's address without the server's is path.
func (b *Browser) WaitPath(path string) {
	b.t.Helper()
	wanted, _ := json.Marshal(path) // a string always can be
	b.until("wait for the page "+path, fmt.Sprintf(`document.readyState === "complete" && location.pathname + location.search + location.hash === %s`, wanted))
}

// Text is the text of the first element of selector as it is seen, without the
// space around it; it waits for the element.
func (b *Browser) Text(selector string) string {
	b.t.Helper()
	b.WaitFor(selector)
	return strings.TrimSpace(Eval[string](b, shown(selector)+".innerText"))
}

// Texts are the texts of all elements of selector, shown or not.
func (b *Browser) Texts(selector string) []string {
	b.t.Helper()
	text, _ := json.Marshal(selector) // a string always can be
	return Eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll(%s)].map(e => (e.innerText ?? e.textContent).trim())`, text))
}

// Count is how many elements selector selects.
func (b *Browser) Count(selector string) int {
	b.t.Helper()
	text, _ := json.Marshal(selector) // a string always can be
	return Eval[int](b, fmt.Sprintf(`document.querySelectorAll(%s).length`, text))
}
