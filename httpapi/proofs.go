package httpapi

import (
	"net/http"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/proof"
)

// LogRoot is the root of the first so many events: see proof.Root.
type LogRoot struct {
	Root string `json:"root"` // SIZE:HASH, as proof.ParseRoot reads it
	Size int64  `json:"size,string"`
	Hash string `json:"hash"` // 64 hexadecimal digits
}

// NewLogRoot describes r.
func NewLogRoot(r proof.Root) LogRoot { return LogRoot{r.String(), r.Size, r.Hash.String()} }

var proofRoutes = []route{
	{
		method: "GET", path: "/v1/root", group: GroupQuery, id: "root",
		summary: "The root of the log: a hash that no other events have. The first answer reads the whole log.",
		query:   []param{{"size", "string", "of the first so many events; all by default"}},
		headers: []param{cachedParam},
		answers: proofAnswers(answer{"the root", []string{mediaJSON}, "Root"}),
		handle:  (*server).root,
	},
	{
		method: "GET", path: "/v1/proofs/inclusion", group: GroupQuery, id: "inclusion",
		summary: "A proof that an event is in the log of a root, with the event as it is stored.",
		query:   []param{{"position", "string", "the event's"}, {"size", "string", "the root's; that of the whole log by default"}},
		headers: []param{cachedParam},
		answers: proofAnswers(answer{"the proof", []string{mediaJSON}, "Proof"}),
		handle:  (*server).inclusion,
	},
	{
		method: "GET", path: "/v1/proofs/extension", group: GroupQuery, id: "extension",
		summary: "A proof that the log of a root begins with that of an older one.",
		query:   []param{{"from", "string", "the older root's size"}, {"to", "string", "the root's size; that of the whole log by default"}},
		headers: []param{cachedParam},
		answers: proofAnswers(answer{"the proof", []string{mediaJSON}, "Proof"}),
		handle:  (*server).extension,
	},
}

var cachedParam = param{"If-None-Match", "string", "the ETag that the client has; 304 if it is the answer's"}

func proofAnswers(ok answer) map[int]answer {
	return map[int]answer{
		200: ok, 304: {"the answer would be that of If-None-Match", nil, ""},
		400: problemAnswer, 404: problemAnswer, 500: problemAnswer, 503: problemAnswer,
	}
}

func proofSchemas() object {
	return object{
		"Root": strict([]string{"root", "size", "hash"}, object{"root": text, "size": text, "hash": text}),
		"Proof": strict([]string{"format", "kind", "root", "hashes"}, object{
			"format": text, "kind": object{"enum": []proof.Kind{proof.Inclusion, proof.Extension}}, "root": text, "from": text,
			"event": ref("Event"), "commit": text, "index": count, "hashes": list(text),
		}),
	}
}

// size is that of a parameter, and the log's where that is not given.
func (s *server) size(r *request, a *args, name string) (size int64, given bool, err error) {
	given = a.text(name) != ""
	size = a.number(name)
	if err = a.err(); err == nil && !given {
		size, err = s.store.End(r.Context())
	}
	return size, given, err
}

// immutable answers with what is v for ever if the request says of which size; tag tells
// it from other answers to the same request.
func immutable(w http.ResponseWriter, r *request, forever bool, tag string, v any) error {
	w.Header().Set("ETag", `"`+tag+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	if forever {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == `"`+tag+`"` {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	writeJSON(w, http.StatusOK, mediaJSON, v)
	return nil
}

// maxProving is how many requests make roots and proofs at a time. Each may have to wait
// until the whole log was read once, and more of them would take the places of all
// others.
const maxProving = 32

// proved calls f unless as many as may be are at it.
func proved[T any](s *server, f func() (T, error)) (made T, err error) {
	select {
	case s.proving <- struct{}{}:
		defer func() { <-s.proving }()
		return f()
	default:
		return made, &annals.Error{
			Code: annals.CodeOverloaded, Message: "the server makes as many roots and proofs as it takes at a time",
			Hint: "ask again in a while: the first answer has to read the whole log, later ones take milliseconds",
		}
	}
}

func (s *server) root(w http.ResponseWriter, r *request) error {
	size, given, err := s.size(r, &args{r: r}, "size")
	if err != nil {
		return err
	}
	root, err := proved(s, func() (proof.Root, error) { return s.tree.Root(r.Context(), size) })
	if err != nil {
		return err
	}
	return immutable(w, r, given, root.String(), NewLogRoot(root))
}

func (s *server) inclusion(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	position := a.number("position")
	if position == 0 {
		a.bad("position", "must be given, and at least 1")
	}
	size, given, err := s.size(r, &a, "size")
	if err != nil {
		return err
	}
	p, err := proved(s, func() (proof.Proof, error) { return s.tree.Inclusion(r.Context(), position, size) })
	if err != nil {
		return err
	}
	return immutable(w, r, given, number(position)+"-"+p.Root.String(), p)
}

func (s *server) extension(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	if a.text("from") == "" {
		a.bad("from", "must be given")
	}
	from := a.number("from")
	size, given, err := s.size(r, &a, "to")
	if err != nil {
		return err
	}
	p, err := proved(s, func() (proof.Proof, error) { return s.tree.Extension(r.Context(), from, size) })
	if err != nil {
		return err
	}
	return immutable(w, r, given, number(from)+"-"+p.Root.String(), p)
}
