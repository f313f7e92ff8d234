package access

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/eb901187/annals"
)

// TokenPrefix starts every token, so that people and scanners of leaked secrets
// recognize one.
const TokenPrefix = "annals_"

// NewToken makes a token of 256 random bits, and the line of a file of Tokens that
// recognizes it. Nothing keeps the token itself.
func NewToken(p Principal) (token, line string, err error) {
	if err := checkName(p.Name); err != nil {
		return "", "", err
	}
	if len(p.Roles) == 0 {
		return "", "", annals.Invalid("roles", "must not be empty")
	}
	roles := joined(p.Roles)
	if _, err := ParseRoles(roles); err != nil {
		return "", "", err
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	token = TokenPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret[:]))
	hash := sha256.Sum256([]byte(token))
	line = fmt.Sprintf("%s %s %s%x", p.Name, roles, hashPrefix, hash)
	if p.Rate != (Rate{}) {
		line += " " + p.Rate.String()
	}
	return token, line, nil
}

const hashPrefix = "sha256:"

func checkName(name string) error {
	const longest = 100
	outside := func(r rune) bool { return r <= ' ' || r == '#' || r == 0x7f || r == '\ufffd' }
	if name == "" || len(name) > longest || strings.ContainsFunc(name, outside) {
		return annals.Invalid("name", "must have 1 to %d bytes, without spaces and #", longest)
	}
	if isLocal(name) {
		return annals.Invalid("name", "must not be that of a user without a token, as %s is", name)
	}
	return nil
}

// Tokens recognizes the tokens of a file, which it reads again when it has changed. It
// is safe for concurrent use.
//
// A line of the file is a name, roles separated by commas, and sha256: with the hash of
// the token in hexadecimal, and perhaps a Rate, separated by spaces; # starts a comment.
// A name may have several lines, so that a new token can come before the old one goes.
type Tokens struct {
	// Changed, if it is set before the first use, is called with what a change of the
	// file has added and removed, such as "ann read,operate", in no certain order.
	Changed func(added, removed []string)

	path   string
	logger *slog.Logger

	mu    sync.Mutex
	seen  fs.FileInfo // of what was read last, whether it was valid or not
	known []knownToken
}

type knownToken struct {
	hash [sha256.Size]byte
	who  Principal
}

// OpenTokens reads the tokens of the file at path. When it is changed to something that
// can't be read, the tokens before that stay, and logger is told (nil is
// slog.Default()). Errors name the file, and the line if there is one, and hold nothing
// of what is there.
func OpenTokens(path string, logger *slog.Logger) (*Tokens, error) {
	if logger == nil {
		logger = slog.Default()
	}
	t := &Tokens{path: path, logger: logger}
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	t.seen = info
	t.known, err = readTokens(path)
	return t, err
}

// Authenticate implements Authenticator.
func (t *Tokens) Authenticate(_ context.Context, token string) (Principal, error) {
	known := t.current()
	hash := sha256.Sum256([]byte(token))
	found := -1
	for i := range known { // all of them, so that the time tells nothing
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], known[i].hash[:]), i, found)
	}
	if found < 0 {
		return Principal{}, &annals.Error{
			Code: annals.CodeUnauthorized, Message: "this server does not know the token", Hint: "annals token new makes one, with a line for the server's file of tokens",
		}
	}
	return known[found].who, nil
}

// current is what the file says, or said before it became invalid.
func (t *Tokens) current() []knownToken {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.path)
	switch {
	case err != nil && t.seen == nil:
		return t.known
	case err == nil && t.seen != nil && os.SameFile(info, t.seen) && info.ModTime().Equal(t.seen.ModTime()) && info.Size() == t.seen.Size():
		return t.known
	}
	known := t.known
	if t.seen = info; err != nil {
		t.seen = nil
		err = unreadable(t.path, err)
	} else {
		known, err = readTokens(t.path)
	}
	if err != nil {
		t.logger.Error("the file of tokens can't be read; those that it held before stay valid", "error", err)
		return t.known
	}
	if added, removed := difference(t.known, known); t.Changed != nil && len(added)+len(removed) > 0 {
		go t.Changed(added, removed) // whose request has seen it need not wait
	}
	t.known = known
	return known
}

// difference is who is in one of two lists of tokens only.
func difference(before, after []knownToken) (added, removed []string) {
	lines := func(all []knownToken) map[string]string {
		m := map[string]string{}
		for i := range all {
			who := &all[i].who
			text := who.Name + " " + joined(who.Roles)
			if who.Rate != (Rate{}) {
				text += " " + who.Rate.String()
			}
			m[string(all[i].hash[:])+text] = text
		}
		return m
	}
	was, is := lines(before), lines(after)
	for line, text := range is {
		if _, there := was[line]; !there {
			added = append(added, text)
		}
	}
	for line, text := range was {
		if _, there := is[line]; !there {
			removed = append(removed, text)
		}
	}
	return added, removed
}

func joined(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ",")
}

func unreadable(path string, err error) error {
	return &annals.Error{Code: annals.CodeInvalid, Err: err, Message: "the file of tokens " + path + " can't be read", Hint: "annals token new NAME --add " + path + " makes it"}
}

func readTokens(path string) (known []knownToken, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		t, problem := parseToken(fields)
		if problem != "" {
			return nil, badLine(path, number, problem)
		}
		known = append(known, t)
	}
	if lines.Err() != nil {
		return nil, badLine(path, 0, "is longer than 64 KiB")
	}
	return known, nil
}

func badLine(path string, number int, problem string) error {
	where := "a line of " + path
	if number > 0 {
		where = fmt.Sprintf("line %d of %s", number, path)
	}
	return &annals.Error{Code: annals.CodeInvalid, Message: where + " " + problem, Hint: "a line is NAME ROLE,ROLE sha256:HASH, as annals token new prints it"}
}

// parseToken reads one line; a problem tells nothing of what stands there, which may be
// a secret in the wrong place.
func parseToken(fields []string) (t knownToken, problem string) {
	for _, field := range fields {
		if strings.HasPrefix(field, TokenPrefix) {
			return t, "holds a token itself, and must hold its hash"
		}
	}
	if len(fields) != 3 && len(fields) != 4 {
		return t, "must hold three words, or four with a rate"
	}
	digits, ok := strings.CutPrefix(fields[2], hashPrefix)
	hash, err := hex.DecodeString(digits)
	if !ok || err != nil || len(hash) != len(t.hash) {
		return t, "must have sha256: and 64 hexadecimal digits as its third word"
	}
	copy(t.hash[:], hash)
	if checkName(fields[0]) != nil {
		return t, "must start with a name of at most 100 bytes, which is not local"
	}
	if t.who.Roles, err = ParseRoles(fields[1]); err != nil {
		return t, "must name roles of read, append and operate, separated by commas"
	}
	if len(fields) == 4 {
		if t.who.Rate, err = ParseRate(fields[3]); err != nil {
			return t, "must have a rate such as 100/s as its fourth word"
		}
	}
	t.who.Name = fields[0]
	return t, ""
}
