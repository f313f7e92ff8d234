package console

import "strings"

// cli is a command line that does or shows what a page does, for a POSIX shell.
func (c *console) cli(args ...string) string {
	words := append([]string{"annals"}, args...)
	if c.opts.StoreName != "" {
		words = append(words, "--store", c.opts.StoreName)
	}
	return quoteWords(words)
}

// curl is a request to the HTTP API for a POSIX shell. path, with its query, is
// escaped already and starts with /v1; args are further ones of curl. Where the server
// asks for a token it is that of the variable which the commands take it from, too.
func (c *console) curl(method, path string, args ...string) string {
	words := []string{"curl"}
	if method != "GET" {
		words = append(words, "-X", method)
	}
	line := quoteWords(append(append(words, args...), c.opts.APIAddress+path))
	if c.opts.Authenticator != nil {
		line += ` -H "Authorization: Bearer $ANNALS_TOKEN"` // which the shell fills in
	}
	return line
}

func quoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = shellQuote(word)
	}
	return strings.Join(quoted, " ")
}

// shellQuote is s as one word of a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
