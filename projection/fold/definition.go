package fold

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/yamlfile"
)

// MaxFileBytes is how large a file may be.
const MaxFileBytes = 1 << 20

const maxNameBytes = 60

// A Definition is what one file says.
type Definition struct {
	// Name is 1 to 60 of a-z, 0-9, - and _.
	Name string
	// Query chooses the events: Types, Sources, Correlation and Prefix, nothing
	// else. Types that the file leaves out or names are followed by StateRestored
	// where the documents are streams' and there is room.
	Query annals.Query
	// Rules fold them.
	Rules *Rules
	// File and Text are what was parsed.
	File string
	Text []byte
	// Fingerprint tells one meaning from another: definitions with the same one
	// make the same documents of the same log, but for events that restore the state
	// of one of them by its name. Name, comments, layout and the order of keys do not
	// count.
	Fingerprint string
}

// Parse reads the definition in text; file is its name for messages and, without
// its extension, for the definition's. The error is an *annals.Error of
// CodeInvalid that says of all that is wrong in which line it is and what to do.
// Parse runs each fold on an empty document to see what it gives; one that loops
// takes it up to half a second.
func Parse(file string, text []byte) (*Definition, error) { return parse(file, text, standardLimits) }

func parse(file string, text []byte, l limits) (*Definition, error) {
	p := &parser{reader: reader{file: file}, limits: l}
	if len(text) > MaxFileBytes {
		p.wrong(1, "split the projection", "the file is longer than %d bytes", MaxFileBytes)
	} else if root := p.root(text, "give at least fold; the documentation has an example", "put each projection into a file of its own"); root != nil {
		p.definition(root)
	}
	if len(p.problems) > 0 {
		return nil, yamlfile.Err(file, p.problems)
	}
	rules := p.rules
	return &Definition{
		Name: p.name, Query: rules.query, Rules: &rules,
		File: file, Text: slices.Clone(text), Fingerprint: rules.fingerprint(),
	}, nil
}

// Load parses the files of dir whose names end in .yaml or .yml, in the order of
// their names; those that start with a dot and directories are passed over. Two
// definitions of one name are an error, as is a file that can't be read. Each
// error is an *annals.Error; several are joined.
func Load(dir string) ([]*Definition, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &annals.Error{Code: annals.CodeNotFound, Message: "there is no directory " + dir, Hint: "make it, or name the directory that holds the projections", Err: err}
	} else if err != nil {
		return nil, unreadable(dir, err)
	}
	var all []*Definition
	var bad []error
	named := map[string]string{}
	for _, entry := range entries {
		extension := filepath.Ext(entry.Name())
		if entry.IsDir() || strings.HasPrefix(entry.Name(), ".") || extension != ".yaml" && extension != ".yml" {
			continue
		}
		d, err := load(filepath.Join(dir, entry.Name()))
		switch {
		case err != nil:
			bad = append(bad, err)
		case named[d.Name] != "":
			bad = append(bad, &annals.Error{
				Code: annals.CodeInvalid, Message: fmt.Sprintf("%s and %s both define a projection %q", named[d.Name], d.File, d.Name),
				Hint: "give one of them another name",
			})
		default:
			named[d.Name] = d.File
			all = append(all, d)
		}
	}
	if len(bad) == 1 {
		return nil, bad[0]
	}
	return all, errors.Join(bad...)
}

func load(name string) (*Definition, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxFileBytes+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	return Parse(name, text)
}

func unreadable(file string, err error) error {
	return &annals.Error{Code: annals.CodeInvalid, Message: file + " can't be read", Hint: "see to its owner and permissions, or remove it", Err: err}
}

// fingerprint hashes what r means.
func (r *Rules) fingerprint() string {
	types := r.query.Types
	if r.added { // it says nothing about the file, and views of logs without it are the same
		types = types[:len(types)-1]
	}
	meaning := map[string]any{
		"fold":  "1", // to be raised when the same rules come to make other documents
		"types": sorted(types), "sources": sorted(r.query.Sources), "correlation": r.query.Correlation, "prefix": r.query.Prefix,
		"delete": slices.Sorted(maps.Keys(r.remove)), "merge": r.merge,
	}
	if r.key != nil {
		meaning["key"] = r.key.text
	}
	folds := map[string]string{}
	for eventType, p := range r.folds {
		folds[eventType] = p.text
	}
	if r.others != nil {
		folds[everyOther] = r.others.text
	}
	meaning["folds"] = folds
	text, err := json.Marshal(meaning)
	if err != nil {
		panic(err) // strings always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// unread is a driver without events: a Store over it checks queries by the rules
// of the root, and does nothing else.
type unread struct{ annals.Driver }

func (unread) Log(context.Context, annals.Query) iter.Seq2[annals.Event, error] {
	return func(func(annals.Event, error) bool) {}
}

// violation is the first rule of the root that q breaks, in words; or empty.
func violation(q annals.Query) string {
	for _, err := range annals.New(unread{}, nil).Log(context.Background(), q) {
		var invalid *annals.InvalidError
		if errors.As(err, &invalid) && len(invalid.Violations) > 0 {
			return invalid.Violations[0].Message
		}
		return err.Error()
	}
	return ""
}
