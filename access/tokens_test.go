package access

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

func made(t *testing.T, name string, roles ...Role) (token, line string) {
	t.Helper()
	token, line, err := NewToken(Principal{Name: name, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	return token, line
}

func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	ann, annLine := made(t, "ann", Read, Operate)
	bob, bobLine := made(t, "bob", Append)
	second, secondLine := made(t, "ann", Read)
	write(t, path, "# who may what", "", annLine+" # until May", "\t"+bobLine+"\r", secondLine)
	tokens, err := OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]Principal{ann: {Name: "ann", Roles: []Role{Read, Operate}}, bob: {Name: "bob", Roles: []Role{Append}}, second: {Name: "ann", Roles: []Role{Read}}} {
		who, err := tokens.Authenticate(t.Context(), token)
		if err != nil || who.Name != want.Name || len(who.Roles) != len(want.Roles) {
			t.Errorf("%+v, %v", who, err)
		}
		for _, r := range Roles() {
			if who.May(r) != want.May(r) {
				t.Errorf("%s may %s: %v", who.Name, r, who.May(r))
			}
			if (who.Check(r) == nil) != want.May(r) {
				t.Errorf("%s, %s: %v", who.Name, r, who.Check(r))
			}
		}
	}
	other, _ := made(t, "ann", Read)
	for _, token := range []string{"", "annals_", other, ann[:len(ann)-1], ann + "a", strings.ToUpper(ann), strings.Repeat("x", 64<<10)} {
		who, err := tokens.Authenticate(t.Context(), token)
		if annals.CodeOf(err) != annals.CodeUnauthorized || who.Name != "" || token != "" && strings.Contains(err.Error(), token) && token != "annals_" {
			t.Errorf("%q: %+v, %v", token, who, err)
		}
	}
}

func TestTokensAreSecretAndUnlike(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		token, line := made(t, "ann", Read)
		if !strings.HasPrefix(token, TokenPrefix) || len(token) != len(TokenPrefix)+52 || seen[token] {
			t.Fatalf("token %q", token)
		}
		if seen[token] = true; strings.Contains(line, token) || strings.Contains(line, token[len(TokenPrefix):]) {
			t.Fatalf("the line holds the token: %q", line)
		}
	}
	for _, p := range []Principal{{}, {Name: "a b", Roles: Roles()}, {Name: "a#", Roles: Roles()}, {Name: "ann"}, {Name: "ann", Roles: []Role{"own"}}} {
		if _, _, err := NewToken(p); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// A changed file counts at once; one that has become invalid changes nothing.
func TestTokensAreReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	ann, annLine := made(t, "ann", Read)
	bob, bobLine := made(t, "bob", Read)
	write(t, path, annLine)
	var logged bytes.Buffer
	tokens, err := OpenTokens(path, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	known := func(token string) bool {
		_, err := tokens.Authenticate(t.Context(), token)
		return err == nil
	}
	if !known(ann) || known(bob) {
		t.Error("the file as it was")
	}
	write(t, path, bobLine)
	if known(ann) || !known(bob) || logged.Len() > 0 {
		t.Errorf("the file as it is: %s", &logged)
	}
	write(t, path, annLine, "junk")
	if known(ann) || !known(bob) || strings.Count(logged.String(), "\n") != 1 || !strings.Contains(logged.String(), "line 2 of "+path) {
		t.Errorf("a broken file: %s", &logged)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if known(ann) || !known(bob) || strings.Count(logged.String(), "\n") != 2 {
		t.Errorf("no file: %s", &logged)
	}
	write(t, path, annLine)
	if !known(ann) || known(bob) {
		t.Error("the file is back")
	}
}

// Errors say where, and nothing of what stands there.
func TestBadTokenFiles(t *testing.T) {
	token, line := made(t, "ann", Read)
	hash := strings.Fields(line)[2]
	for name, text := range map[string]string{
		"a token":        "ann read " + token,
		"two words":      "ann " + hash,
		"four words":     "ann read, operate " + hash,
		"no hash":        "ann read secretsecret",
		"a short hash":   "ann read sha256:abcd",
		"no digits":      "ann read sha256:" + strings.Repeat("xy", 32),
		"an odd role":    "ann secret " + hash,
		"a long name":    strings.Repeat("secret", 30) + " read " + hash,
		"a long line":    strings.Repeat("secret ", 10000),
		"a token, first": token + " read " + hash,
	} {
		path := filepath.Join(t.TempDir(), "tokens")
		write(t, path, line, text)
		_, err := OpenTokens(path, nil)
		if annals.CodeOf(err) != annals.CodeInvalid || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "a long line" && !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s names no line: %v", name, err)
		}
		for _, secret := range []string{token[len(TokenPrefix):], "secret", "abcd", hash} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error tells: %v", name, err)
			}
		}
	}
	if _, err := OpenTokens(filepath.Join(t.TempDir(), "none"), nil); annals.CodeOf(err) != annals.CodeInvalid || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := OpenTokens(t.TempDir(), nil); annals.CodeOf(err) != annals.CodeInvalid {
		t.Errorf("a directory: %v", err)
	}
}

func TestRoles(t *testing.T) {
	roles, err := ParseRoles("read, operate,read")
	if err != nil || len(roles) != 2 || roles[0] != Read || roles[1] != Operate {
		t.Errorf("%v, %v", roles, err)
	}
	for _, text := range []string{"", "read,", "own", "READ"} {
		if _, err := ParseRoles(text); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	nobody := From(t.Context())
	for _, r := range Roles() {
		if nobody.May(r) || !Local().May(r) || annals.CodeOf(nobody.Check(r)) != annals.CodeForbidden || !strings.Contains(nobody.Check(r).Error(), string(r)) {
			t.Errorf("role %s", r)
		}
	}
	if who := From(With(context.Background(), Local())); who.Name != "local" {
		t.Errorf("%+v", who)
	}
}

// Who watches the file is told who may come in now and who no longer, and no hash.
func TestTokensTellWhatChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	_, ann := made(t, "ann", Read)
	_, bob := made(t, "bob", Append)
	token, line, err := NewToken(Principal{Name: "cy", Roles: []Role{Read}, Rate: Rate{5, 10}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, ann, bob)
	tokens, err := OpenTokens(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 1)
	tokens.Changed = func(added, removed []string) { told <- strings.Join(added, "; ") + " | " + strings.Join(removed, "; ") }
	write(t, path, ann, line)
	if who, err := tokens.Authenticate(t.Context(), token); err != nil || who.Rate != (Rate{5, 10}) {
		t.Errorf("%+v, %v", who, err)
	}
	if got := <-told; got != "cy read 5/s:10 | bob append" {
		t.Errorf("%s", got)
	}
	if _, _, err := NewToken(Principal{Name: "local:root", Roles: []Role{Read}}); err == nil {
		t.Error("a token takes the name of a local user")
	}
}
