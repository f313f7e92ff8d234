package fold

import (
	"errors"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// parseComplaint is what gojq's parser did not like.
func parseComplaint(err error, src string) complaint {
	c := complaint{offset: -1, message: "is not jq: " + err.Error(), hint: "mend the jq there"}
	var parse *gojq.ParseError
	if errors.As(err, &parse) {
		c.offset = parse.Offset - len(parse.Token)
		if parse.Token == "" && parse.Offset >= len(src) {
			c.hint = "something is missing at its end"
		}
	}
	return c
}

// compileComplaint is what gojq's compiler did not like.
func compileComplaint(err error, asKey bool, more []string) complaint {
	message := err.Error()
	if name, ok := strings.CutPrefix(message, "function not defined: "); ok {
		word := name
		if slash := strings.LastIndexByte(name, '/'); slash >= 0 {
			word = name[:slash]
		}
		return complaint{word: word, message: "calls " + name + ", which jq has not got", hint: didYouMean(word, builtins(), "write it yourself with def, or see the jq manual for what there is")}
	}
	if name, ok := strings.CutPrefix(message, "variable not defined: "); ok {
		known := "there is $event, and . is the document"
		if asKey {
			known = strings.Join(append([]string{"there is $event"}, more...), ", ") + ", and . is the event too"
		}
		return complaint{word: name, message: "uses " + name + ", which is not defined", hint: didYouMean(name, append([]string{eventVariable}, more...), known)}
	}
	return complaint{offset: -1, message: "is not jq: " + message, hint: "mend the jq"}
}

// builtins are the names of jq's own functions.
func builtins() (names []string) {
	q, err := gojq.Parse("builtins[]")
	if err != nil {
		return nil
	}
	for outputs := q.Run(nil); ; {
		out, more := outputs.Next()
		if !more {
			return names
		}
		if text, ok := out.(string); ok {
			name, arity, _ := strings.Cut(text, "/")
			if _, err := strconv.Atoi(arity); err == nil && refused[name] == "" {
				names = append(names, name)
			}
		}
	}
}

// locate finds where word, a function or variable or a ".field", stands in an
// expression, outside of strings and comments; -1 if it does not.
func locate(src, word string) int {
	var inside []byte // what is open around: a string or a parenthesis
	for i := 0; i < len(src); {
		open := byte(0)
		if len(inside) > 0 {
			open = inside[len(inside)-1]
		}
		c := src[i]
		switch {
		case open == '"' && c == '\\' && strings.HasPrefix(src[i:], `\(`):
			inside, i = append(inside, '('), i+2
		case open == '"' && c == '\\':
			i += 2
		case open == '"' && c != '"':
			i++
		case c == '"' && open == '"', c == ')' && open == '(':
			inside, i = inside[:len(inside)-1], i+1
		case c == '"' || c == '(':
			inside, i = append(inside, c), i+1
		case c == '#':
			end := strings.IndexByte(src[i:], '\n')
			if end < 0 {
				return -1
			}
			i += end
		case wordByte(c) || c == '$' || c == '.':
			end := i + 1
			for end < len(src) && wordByte(src[end]) {
				end++
			}
			if rest := src[i:]; strings.HasPrefix(rest, word) && (len(rest) == len(word) || !wordByte(rest[len(word)])) {
				return i
			}
			i = end
		default:
			i++
		}
	}
	return -1
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// didYouMean is a hint that names what word is nearest to, or else the fallback.
func didYouMean(word string, known []string, fallback string) string {
	best, distance := "", 1+(len(word)+1)/3
	for _, name := range known {
		if d := edits(word, name, distance); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return fallback
	}
	return "did you mean " + strconv.Quote(best) + "?"
}

// edits is how many letters to add, drop or replace make b of a; limit if it is
// that many or more.
func edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
