package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/effect"
)

var repairScreens = []screen{
	{path: "repairs", template: "repairs.html", nav: "Repairs", key: "a", read: (*console).repairs},
	{path: "repairs/{handler}", template: "repair.html", read: (*console).repair},
}

var repairActions = []action{
	{path: "repairs/{handler}/approve", what: "effect.approve", role: access.Operate, target: pathHandler, typed: true, do: (*console).approveFindings},
	{path: "repairs/{handler}/reject", what: "effect.reject", role: access.Operate, target: pathHandler, do: (*console).rejectFindings},
}

func pathHandler(r *http.Request) string { return r.PathValue("handler") }

type repairsData struct {
	Handlers []effect.KnownHandler
	CLI      string
}

func (c *console) repairs(r *http.Request) (string, any, error) {
	d := repairsData{CLI: c.cli("reaction", "list")}
	for h, err := range effect.Handlers(r.Context(), c.store) {
		if err != nil {
			return "Repairs", nil, err
		}
		d.Handlers = append(d.Handlers, h)
	}
	return "Repairs", d, nil
}

// findingsPerPage is how many differences a page shows.
const findingsPerPage = 25

// settled are the states in which nobody has to decide any more.
var settled = []effect.FindingState{effect.Approved, effect.Corrected, effect.Rejected, effect.Superseded}

type repairData struct {
	Handler  string
	Repairs  []effect.RepairRun // the newest first
	All      bool               // whether what is settled is shown too
	Open     int                // findings that nobody has decided about
	Findings []findingData
	More     string // the address of the next page; empty for none
	First    string // that of the first page; empty on it
	CLI, Ask string
}

// A findingData is a difference, side by side.
type findingData struct {
	effect.Finding
	EventPath string
	Was, Now  *exchangePart
	Answer    *exchangePart // what came back then
	Diff      []diffLine
	CanDecide bool
}

func (c *console) repair(r *http.Request) (string, any, error) {
	handler, q := r.PathValue("handler"), r.URL.Query()
	title := "Repairs of " + handler
	from, err := positionParam(q, "from")
	if err != nil {
		return title, nil, err
	}
	runs, err := effect.Repairs(r.Context(), c.store, handler)
	if err != nil {
		return title, nil, err
	}
	found, err := effect.Differences(r.Context(), c.store, handler)
	if err != nil {
		return title, nil, err
	}
	d := repairData{Handler: handler, All: q.Get("all") != ""}
	slices.Reverse(runs)
	d.Repairs = runs[:min(len(runs), findingsPerPage)]
	d.Open = len(openFindings(found))
	if !d.All {
		found = slices.DeleteFunc(found, func(f effect.Finding) bool { return slices.Contains(settled, f.State) })
	}
	start := min(int(min(from, int64(len(found)))), len(found))
	end := min(start+findingsPerPage, len(found))
	for i := range found[start:end] {
		d.Findings = append(d.Findings, findingDataOf(&found[start+i]))
	}
	base := Path + "repairs/" + url.PathEscape(handler)
	if end < len(found) {
		q.Set("from", strconv.Itoa(end))
		d.More = base + "?" + q.Encode()
	}
	if start > 0 {
		q.Del("from")
		d.First = base + "?" + q.Encode()
	}
	d.CLI, d.Ask = c.cli("effect", "diff", handler), c.cli("reaction", "repair", handler, "--from", "1")
	return title, d, nil
}

func openFindings(found []effect.Finding) (ids []string) {
	for i := range found {
		if found[i].State == effect.Open {
			ids = append(ids, found[i].ID)
		}
	}
	return ids
}

func findingDataOf(f *effect.Finding) findingData {
	d := findingData{Finding: *f, EventPath: causePath(f.Event), CanDecide: !slices.Contains(settled, f.State) || f.State == effect.Rejected}
	var was, now []byte
	if f.Was != nil {
		past := f.Was.Past()
		part := requestPart("Was", past)
		d.Was, was = &part, requestJSON(past)
		if a := f.Was.Response; a != nil && f.Append == "" {
			d.Answer = callDataOf(f.Was, nil).Answer
		}
	}
	if f.Now != nil {
		part := requestPart("Now", f.Now)
		d.Now, now = &part, requestJSON(f.Now)
	}
	d.Diff = diffJSON(was, now)
	return d
}

// requestJSON is a request without its headers, which don't make a difference.
func requestJSON(r *effect.Request) []byte {
	bare := *r
	bare.Headers = nil
	return plainJSON(bare)
}

func (c *console) approveFindings(r *http.Request) (done, next string, err error) {
	ids, err := c.chosenFindings(r)
	if err == nil {
		err = effect.Approve(r.Context(), c.store, ids...)
	}
	if err != nil {
		return "", "", err
	}
	return decidedText(r, ids, "approved; corrections are sent once a program runs the handler"), findingsPath(r), nil
}

func (c *console) rejectFindings(r *http.Request) (done, next string, err error) {
	reason := r.PostFormValue("reason")
	ids, err := c.chosenFindings(r)
	if err == nil {
		err = effect.Reject(r.Context(), c.store, reason, ids...)
	}
	if err != nil {
		return "", "", err
	}
	return decidedText(r, ids, "rejected: "+reason), findingsPath(r), nil
}

func decidedText(r *http.Request, ids []string, what string) string {
	if len(ids) == 1 {
		return "the difference " + ids[0] + " is " + what
	}
	return fmt.Sprintf("%d differences of %s are %s", len(ids), r.PathValue("handler"), what)
}

func findingsPath(r *http.Request) string {
	return Path + "repairs/" + url.PathEscape(r.PathValue("handler")) + "?all=1"
}

// chosenFindings are those that were ticked, or all that are open where that many
// were when the page was made.
func (c *console) chosenFindings(r *http.Request) ([]string, error) {
	handler, ids := r.PathValue("handler"), r.PostForm["id"]
	if r.PostFormValue("which") != "all" {
		for _, id := range ids {
			if of, _, err := annals.ParseCausation(id); err != nil || of != handler {
				return nil, annals.Invalid("id", "must name differences of %s", handler)
			}
		}
		if len(ids) == 0 {
			return nil, annals.Invalid("id", "must name at least one difference: tick those that are meant")
		}
		return ids, nil
	}
	found, err := effect.Differences(r.Context(), c.store, handler)
	if err != nil {
		return nil, err
	}
	open := openFindings(found)
	if shown := r.PostFormValue("open"); shown != strconv.Itoa(len(open)) {
		return nil, &annals.Error{
			Code: annals.CodeConflict, Message: fmt.Sprintf("%d differences of %s are open, and the page showed %.10s", len(open), handler, shown),
			Hint: "look at them again before you decide",
		}
	}
	return open, nil
}
