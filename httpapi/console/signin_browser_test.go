package console_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/httpapi/console/consoletest"
)

// tokens is a file of tokens for these principals, and the tokens.
func tokens(t *testing.T, principals ...access.Principal) (*access.Tokens, []string) {
	t.Helper()
	var lines, all []string
	for _, p := range principals {
		token, line, err := access.NewToken(p)
		if err != nil {
			t.Fatal(err)
		}
		all, lines = append(all, token), append(lines, line)
	}
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := access.OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file, all
}

func TestBrowserSignIn(t *testing.T) {
	f := consoletest.Big(t)
	file, secret := tokens(t, access.Principal{Name: "ada", Roles: []access.Role{access.Read, access.Operate}}, access.Principal{Name: "bob", Roles: []access.Role{access.Read}})
	opts := f.Options
	opts.Authenticator = file
	b := consoletest.Open(t, console.New(f.Store, &opts))

	b.Go("streams?prefix=order-0004")
	b.WaitText("h1", "Sign in")
	b.Axe(t)
	b.Screenshot("sign-in")
	b.NoErrors(t)
	b.Type("input[name=token]", "annals_wrong")
	b.Follow("form[action$='/sign-in'] button")
	b.WaitFor("[role=alert]")
	b.Axe(t)
	b.Forget() // the page has the status 401

	b.Type("input[name=token]", secret[0])
	b.Press("Enter")
	b.WaitPath("/console/streams?prefix=order-0004")
	if who := b.Text(".who b"); who != "ada" {
		t.Errorf("signed in as %q", who)
	}
	b.Go("projections/" + consoletest.Orders)
	if n := b.Count("main form[method=post]"); n == 0 {
		t.Error("who may operate sees no form")
	}
	if text := consoletest.Eval[string](b, "document.cookie"); text != "" {
		t.Errorf("scripts can read the cookies %q", text)
	}
	b.NoErrors(t)

	b.Follow("form[action$='/sign-out'] button")
	b.WaitText("h1", "Sign in")
	b.Go("projections")
	b.WaitText("h1", "Sign in")
	b.Type("input[name=token]", secret[1])
	b.Press("Enter")
	b.WaitPath("/console/projections")
	b.Go("projections/" + consoletest.Orders)
	if n := b.Count("main form[method=post]"); n != 0 {
		t.Errorf("who may only read sees %d forms", n)
	}
	b.NoErrors(t)
}
