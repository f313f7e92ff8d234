package httpapi

import (
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// args reads parameters and gathers what is wrong with them.
type args struct {
	r          *request
	violations []annals.Violation
}

func (a *args) bad(name, message string) {
	a.violations = append(a.violations, annals.Violation{Field: name, Message: message})
}

func (a *args) err() error {
	if len(a.violations) == 0 {
		return nil
	}
	return &annals.InvalidError{Violations: a.violations}
}

func (a *args) text(name string) string {
	values := a.r.params[name]
	if len(values) > 1 {
		a.bad(name, "is given more than once")
	}
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// number reads a whole number from 0 to the largest that an int64 holds.
func (a *args) number(name string) int64 { return a.parse(name, a.text(name), math.MaxInt64) }

func (a *args) small(name string, most int64) int { return int(a.parse(name, a.text(name), most)) }

func (a *args) parse(name, s string, most int64) int64 {
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > most || s[0] == '+' {
		a.bad(name, "must be a whole number from 0 to "+strconv.FormatInt(most, 10))
		return 0
	}
	return n
}

func (a *args) flag(name string) bool {
	switch a.text(name) {
	case "", "false", "0":
		return false
	case "true", "1":
		return true
	}
	a.bad(name, "must be true or false")
	return false
}

func (a *args) time(name string) time.Time {
	s := a.text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		a.bad(name, "must be an RFC 3339 time such as 2020-05-01T20:00:00Z")
	}
	return t
}

// list reads names separated by commas, in one or more parameters.
func (a *args) list(name string) []string {
	var all []string
	for _, value := range a.r.params[name] {
		all = append(all, strings.Split(value, ",")...)
	}
	return all
}

// resume returns what the header Last-Event-ID says, if it is given.
func (a *args) resume() (int64, bool) {
	const header = "Last-Event-Id"
	if len(a.r.Header[header]) == 0 {
		return 0, false
	}
	return a.parse("Last-Event-ID", a.r.Header.Get(header), math.MaxInt64), true
}

// expected reads the preconditions of an append.
func (a *args) expected() int64 {
	ifMatch, ifNone := a.r.Header["If-Match"], a.r.Header["If-None-Match"]
	switch {
	case len(ifMatch) == 0 && len(ifNone) == 0:
		return annals.Any
	case len(ifMatch)+len(ifNone) > 1:
		a.bad("If-Match", "must be given once, and not beside If-None-Match")
	case len(ifNone) == 1:
		if ifNone[0] != "*" {
			a.bad("If-None-Match", "must be *")
		}
		return annals.NoStream
	default:
		s := ifMatch[0]
		if len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' && s[1] >= '0' && s[1] <= '9' {
			if n, err := strconv.ParseInt(s[1:len(s)-1], 10, 64); err == nil {
				return n
			}
		}
		a.bad("If-Match", `must be a version in quotes, such as "7"`)
	}
	return annals.Any
}

// accepted picks the first of media that the request's Accept names with the
// highest quality; media[0] where Accept is absent or takes anything.
func accepted(h http.Header, media []string) (string, error) {
	accept := strings.Join(h["Accept"], ",")
	if strings.TrimSpace(accept) == "" {
		return media[0], nil
	}
	best, quality := "", 0.0
	for part := range strings.SplitSeq(accept, ",") {
		wanted, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				continue
			}
		}
		i := slices.IndexFunc(media, func(m string) bool {
			return wanted == m || wanted == "*/*" || strings.HasSuffix(wanted, "/*") && strings.HasPrefix(m, wanted[:len(wanted)-1])
		})
		if i >= 0 && q > quality {
			best, quality = media[i], q
		}
	}
	if best == "" {
		return "", &annals.Error{
			Code: annals.CodeNotAcceptable, Message: "no media type of " + strconv.Quote(accept) + " can be given",
			Hint: "accept one of " + strings.Join(media, ", "),
		}
	}
	return best, nil
}
