package httpapi

import (
	"bytes"
	"errors"
	"iter"
	"net/http"
	"path"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/ingest"
)

// anybody is the role of routes that are answered whoever asks.
const anybody access.Role = "anybody"

// groupRoles are the roles that the routes of each group take; those of GroupProcess
// have their own.
var groupRoles = map[Group]access.Role{
	GroupIngest: access.Append, GroupCommand: access.Append, GroupQuery: access.Read, GroupOperate: access.Operate, GroupPlayback: access.Operate, GroupErase: access.Operate,
}

// policy is the role that the route takes; empty, which nobody has, if it has none.
func (rt *route) policy() access.Role {
	if rt.role != "" {
		return rt.role
	}
	return groupRoles[rt.group]
}

// SetSecurityHeaders sets those of every answer: stored data is no page, neither of its
// own nor in one of another site, which may not read it either. There is no CORS.
func SetSecurityHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// authorize lets a request pass that may, and puts who asks into its context.
func (s *server) authorize(w http.ResponseWriter, r *request) error {
	who, err := s.who(r)
	if err != nil && r.route.policy() == anybody {
		return nil
	}
	if annals.CodeOf(err) == annals.CodeUnauthorized {
		challenge := `Bearer realm="annals"`
		if r.Header.Get("Authorization") != "" {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if err != nil {
		return err
	}
	if role := r.route.policy(); role != anybody {
		if err := who.Check(role); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="annals", error="insufficient_scope", scope="`+string(role)+`"`)
			r.Request = r.WithContext(access.With(r.Context(), who))
			return err
		}
	}
	r.Request = r.WithContext(access.With(r.Context(), who))
	return nil
}

// who is whose token a request holds.
func (s *server) who(r *request) (access.Principal, error) {
	if s.opts.Authenticator == nil {
		if who := access.From(r.Context()); who.Name != "" {
			return who, nil
		}
		return access.Local(), nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if len(r.Header.Values("Authorization")) > 1 || !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return access.Principal{}, &annals.Error{
			Code: annals.CodeUnauthorized, Message: "the request has no bearer token",
			Hint: "send Authorization: Bearer TOKEN; the commands take it from ANNALS_TOKEN or --token-file",
		}
	}
	return s.opts.Authenticator.Authenticate(r.Context(), strings.TrimSpace(token))
}

// appendable start the streams of Annals itself to which those may append who append:
// snapshots of aggregates, and what reactions note of their calls, as programs over a
// client do.
var appendable = []string{annals.OwnPrefix + "snapshots/", effect.HandlerStream("")}

// mayAppend refuses to let others than operators write into the streams in which Annals
// keeps what operators did and decided.
func mayAppend(who access.Principal, stream string) error {
	if !strings.HasPrefix(stream, annals.OwnPrefix) {
		return nil
	}
	for _, prefix := range appendable {
		if strings.HasPrefix(stream, prefix) {
			return nil
		}
	}
	return who.Check(access.Operate)
}

// appendableBy refuses those of the items that mayAppend refuses.
func appendableBy(who access.Principal, items iter.Seq2[ingest.Item, error]) iter.Seq2[ingest.Item, error] {
	if who.May(access.Operate) {
		return items
	}
	return func(yield func(ingest.Item, error) bool) {
		for item, err := range items {
			// An escape may hide the prefix; other texts need not be read twice.
			if err == nil && item.Err == nil && (bytes.Contains(item.Text, []byte(annals.OwnPrefix)) || bytes.IndexByte(item.Text, '\\') >= 0) {
				if m, err := ingest.Decode(item.Text); err == nil {
					item.Err = mayAppend(who, m.Stream)
				}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// note records what an operator did by a request, or tried to do, unless it was
// refused for what it asks.
func (s *server) note(w http.ResponseWriter, r *request, failure error) {
	asked := args{r: r}
	if !s.opts.NoteActions || r.route.what == "" || asked.flag("dryRun") || errors.Is(failure, annals.ErrInvalid) {
		return
	}
	a := s.action(r)
	if made := w.Header().Get("Location"); made != "" {
		a.Target = path.Base(made)
	}
	if failure != nil {
		a.Error = failure.Error()
	}
	s.record(r, a)
}

// noteRefusal records that somebody asked for what takes an operator.
func (s *server) noteRefusal(r *request, refusal error) {
	if !s.opts.NoteActions || r.route.what == "" || annals.CodeOf(refusal) != annals.CodeForbidden {
		return
	}
	a := s.action(r)
	a.Error = refusal.Error()
	if s.refusals.Note(&a) {
		s.record(r, a)
	}
}

// action is what a request is about, in the operators' log.
func (s *server) action(r *request) access.Action {
	between := "@" // as in NAME@GENERATION
	if strings.HasPrefix(r.route.path, parkedPath) {
		between = "/"
	}
	target := strings.Join(r.vars, between)
	if r.target != "" {
		target = r.target
	}
	return access.Action{
		Who: access.From(r.Context()).Name, At: s.opts.Clock(), What: r.route.what, Target: target,
		Detail: r.params.Encode(), Address: access.RemoteAddress(r.Request),
	}
}

func (s *server) record(r *request, a access.Action) {
	if err := access.Record(r.Context(), s.store, a); err != nil {
		s.opts.Logger.Error("an operator's action could not be noted", "what", a.What, "target", a.Target, "who", a.Who, "error", err)
	}
}
