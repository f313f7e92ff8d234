package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/client"
)

// The variables that hold tokens: for the server of --store, and for another one that
// the command writes to, which is not to learn the first.
const (
	tokenVariable       = "ANNALS_TOKEN"
	targetTokenVariable = "ANNALS_TO_TOKEN"
)

// remote is how the server that --store names is asked.
func (a *app) remote() (*client.Options, error) {
	token, err := a.serverToken()
	if err != nil {
		return nil, err
	}
	roots, err := a.authorities()
	return &client.Options{Token: token, Roots: roots}, err
}

// serverToken is the token for the server; empty for none. Errors don't hold it.
func (a *app) serverToken() (string, error) {
	where, text := a.tokenVariable, os.Getenv(a.tokenVariable)
	if a.tokenFile != "" {
		bytes, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return "", usage("the file of --token-file can't be read: "+err.Error(), "name a file that holds the token and nothing else")
		}
		where, text = a.tokenFile, string(bytes)
		if strings.TrimSpace(text) == "" {
			return "", usage(where+" holds no token", "put the token into it, and nothing else")
		}
	}
	token := strings.TrimSpace(text)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", usage(where+" holds more than a token", "put the token into it, and nothing else")
	}
	return token, nil
}

// other is the app on another store. It gets no token of this one.
func (a *app) other(store string) *app {
	t := *a
	t.store, t.tokenFile, t.tokenVariable = store, "", targetTokenVariable
	return &t
}

func (a *app) token() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make the tokens that a server lets in"}
	c.AddCommand(a.tokenNew())
	explainStore(c, "")
	return c
}

// madeToken is what --json prints of a token.
type madeToken struct {
	Name  string        `json:"name"`
	Roles []access.Role `json:"roles"`
	Rate  string        `json:"rate,omitempty"`
	Token string        `json:"token"`
	Line  string        `json:"line"`
}

func (a *app) tokenNew() *cobra.Command {
	roles, file, rate := "", "", ""
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a token, and the line that a server knows it by",
		Long: "Make a token, and the line that a server knows it by. The token is printed this once\n" +
			"and kept nowhere; the line holds its hash. annals serve --tokens FILE lets in whom the\n" +
			"lines of FILE know, and sees at once when FILE changes. Roles are read, append and\n" +
			"operate; none includes another.",
		Example: "  annals token new shop --roles append --add tokens.txt\n" +
			"  annals token new ann --roles read,operate --add tokens.txt",
		Args: takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noneEmpty(cmd, "roles", "add", "rate"); err != nil {
				return err
			}
			if roles == "" {
				return usage("token new needs --roles", "give some of read, append and operate, separated by commas")
			}
			parsed, err := access.ParseRoles(roles)
			if err != nil {
				return err
			}
			who := access.Principal{Name: args[0], Roles: parsed}
			if rate != "" {
				if who.Rate, err = access.ParseRate(rate); err != nil {
					return err
				}
			}
			token, line, err := access.NewToken(who)
			if err != nil {
				return err
			}
			if file != "" {
				if err := addLine(file, line); err != nil {
					return err
				}
			}
			if a.asJSON {
				return a.printJSON(madeToken{args[0], parsed, rate, token, line})
			}
			if _, err = fmt.Fprintf(a.out, "token  %s\n", token); err == nil && file == "" {
				_, err = fmt.Fprintf(a.out, "line   %s\n", line)
			}
			return err
		},
	}
	c.Flags().StringVar(&roles, "roles", "", "what its holder may do: some of read, append and operate, separated by commas")
	c.Flags().StringVar(&rate, "rate", "", "how many requests its holder may send, such as 100/s, or 100/s:200 with a burst of 200; by default as the server says")
	c.Flags().StringVar(&file, "add", "", "add the line to this file of tokens, which is made if it is not there")
	explainStore(c, "")
	return c
}

// addLine adds a line to a file that only its owner may read where it is new.
func addLine(path, line string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		defer func() { err = errors.Join(err, f.Close()) }()
		err = appendLine(f, line)
	}
	if err == nil {
		return nil
	}
	return &annals.Error{Code: annals.CodeInvalid, Err: err, Message: "the token could not be added to " + path, Hint: "name a file that may be written with --add, or leave it out and add the line yourself"}
}

// appendLine begins a line of its own where the last one was left open.
func appendLine(f *os.File, line string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return err
	}
	return f.Sync()
}
