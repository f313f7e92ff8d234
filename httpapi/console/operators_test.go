package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi/console/consoletest"
)

func note(t *testing.T, v *visited, actions ...access.Action) {
	t.Helper()
	for _, a := range actions {
		if err := access.Record(t.Context(), v.store, a); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOperatorsLog(t *testing.T) {
	v := visit(t, nil)
	v.sees("operators", http.StatusOK, "No operator has done anything like this.", "annals read annals.operators --backward --limit 50 --store 'my store'")
	at := time.Date(2026, 11, 21, 12, 0, 0, 123e6, time.UTC)
	for n := range 120 {
		a := access.Action{Who: "ann", At: at.Add(time.Duration(n) * time.Second), What: "projection.switch", Target: fmt.Sprintf("view-%03d", n), Detail: "generation 2"}
		if n%40 == 0 {
			a.Who, a.What, a.Error = "bob & co", "parked.drop", "there is none"
		}
		note(t, v, a)
	}
	page := v.sees("operators", http.StatusOK, "view-119", "view-070", "2026-11-21T12:01:59.123Z", "done", `/console/event/annals.operators?version=120`)
	v.lacks(page, "view-069", "Newest")
	v.lacks(v.sees("event/annals.operators?version=120", http.StatusOK, "operator-action"), "reversal?") // those can't be reversed
	if n := v.reads("operators"); n > 51 {
		t.Errorf("a page of 50 reads %d events", n)
	}
	older := regexp1(t, `href="([^"]*)" rel="next"`, page)
	page = v.sees(older, http.StatusOK, "view-069", "view-020", "Newest", "there is none", "failed")
	v.lacks(page, "view-070", "view-019")
	page = v.sees(regexp1(t, `href="([^"]*)" rel="next"`, page), http.StatusOK, "view-019", "view-000")
	v.lacks(page, `rel="next"`)
	page = v.sees("operators?who=bob+%26+co", http.StatusOK, "view-000", "view-040", "view-080", `value="bob & co"`)
	v.lacks(page, "view-001")
	page = v.sees("operators?what=projection", http.StatusOK, "view-119", "view-069")
	v.lacks(page, "view-080")
	page = v.sees(regexp1(t, `href="([^"]*)" rel="next"`, page), http.StatusOK, "view-068", `value="projection"`)
	v.lacks(page, "view-040")
	v.sees("operators?who=nobody", http.StatusOK, "No operator has done anything like this.")
	for _, before := range []string{"x", "0", "-1", "9223372036854775808", "9223372036854775807"} {
		v.sees("operators?before="+before, http.StatusBadRequest, "before must be a version")
	}
	v.sees("operators?before=1", http.StatusOK, "No operator has done anything like this.")
	v.driver.FailReads(away)
	v.sees("operators", http.StatusServiceUnavailable, "the disk is away")
}

func TestOperatorsLogShowsTextAsText(t *testing.T) {
	v := visit(t, nil)
	const script, image = `<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`
	note(t, v, access.Action{Who: script + "1", What: image + "2", Target: script + "3", Detail: image + "4", Error: script + "5"})
	if _, err := v.store.Append(t.Context(), access.Stream, annals.Any, annals.Event{Type: "other", Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"operators", "operators?who=%3Cscript%3Ealert(1)%3C/script%3E1"} {
		page := v.sees(path, http.StatusOK, script+"1", image+"2", script+"3", image+"4", script+"5")
		v.lacks(page, "<script>alert", "<img src", "<b>x")
	}
	v.sees("operators", http.StatusOK, "other", "this event is no operator's action")
	page := v.sees("operators?what="+"%22%3E%3Cimg+src%3Dx", http.StatusOK, `value=""><img src=x"`)
	v.lacks(page, "<img")
	if !strings.Contains(page, "&lt;img") && !strings.Contains(page, "&#34;&gt;") {
		t.Error("the filter is not shown")
	}
}

func TestBrowserOperators(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("operators")
	b.WaitText("h1", "Operators' log")
	b.WaitText("tbody", consoletest.Script)
	b.Type("form.filter input[name=who]", "ada")
	b.Press("Enter")
	b.WaitText("tbody tr:first-child", "projection.rebuild")
	b.Follow(`form.filter a[href="/console/operators"]`)
	b.WaitText("tbody", "parked.drop")
	looked(t, b, "operators")
	b.Follow("tbody tr:first-child a")
	b.WaitText("h1", access.Stream)
}
