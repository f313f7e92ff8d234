package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/ingest"
	"github.com/eb901187/annals/subject"
)

var erasureRoutes = []route{{
	method: "POST", path: "/v1/erasures", group: GroupErase, what: "subject.erase", id: "eraseSubject",
	summary: "Erase a data subject: destroy its key, build views anew, and answer with the receipt. It goes on if the client leaves. It can't be undone, and may be repeated.",
	query:   []param{dryRunParam},
	accepts: []string{mediaJSON},
	answers: map[int]answer{
		200: {"the receipt", []string{mediaJSON}, "Receipt"},
		400: problemAnswer, 403: problemAnswer, 404: problemAnswer, 408: problemAnswer, 409: problemAnswer, 413: problemAnswer, 415: problemAnswer, 500: problemAnswer, 503: problemAnswer, 504: problemAnswer, 507: problemAnswer,
	},
	handle: (*server).erase,
}}

const maxErasureBytes = 16 << 10

func (s *server) erase(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	dry := a.flag("dryRun")
	if err := a.err(); err != nil {
		return err
	}
	if s.opts.Eraser == nil {
		return &annals.Error{
			Code: annals.CodeNotFound, Message: "this server has no keys of data subjects, and so none to erase",
			Hint: "start it with --keys",
		}
	}
	if _, err := r.media(); err != nil {
		return err
	}
	text, err := s.read(w, r, maxErasureBytes)
	if err != nil {
		return err
	}
	asked, err := decodeErasure(text)
	if err != nil {
		return err
	}
	r.target = asked.Subject
	asked.DryRun, asked.By = dry, access.From(r.Context()).Name
	ctx := r.Context()
	if !dry { // what was begun can't be undone, and half of it serves nobody
		var cancel context.CancelFunc
		ctx, cancel = s.whileServing(context.WithoutCancel(ctx))
		defer cancel()
	}
	receipt, err := s.opts.Eraser(ctx, asked)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, receipt)
	return nil
}

func decodeErasure(text []byte) (asked subject.Request, err error) {
	if err := annals.CheckJSON(text); err != nil {
		return asked, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&asked); err != nil && !errors.Is(err, io.EOF) {
		return asked, annals.Invalid("body", `must be like {"subject":"account-7","reason":"request 12"}: %v`, err)
	}
	return asked, subject.CheckName(asked.Subject)
}

func erasureSchemas() object {
	counted := func(name string) object {
		return list(strict([]string{name, "events"}, object{name: text, "events": count}))
	}
	return object{"Receipt": strict([]string{"subject", "complete", "begun", "key", "keys", "master", "events", "streams", "inClear", "otherKeys", "edits", "scrubbed", "logEnd", "notCovered"}, object{
		"subject": text, "reason": text, "by": text, "dryRun": flag, "complete": flag, "begun": date, "done": date, "keys": text, "master": text,
		"key": strict([]string{"state"}, object{
			"state": object{"enum": []subject.State{subject.None, subject.Active, subject.Fenced, subject.Destroyed}}, "fingerprint": text,
			"created": date, "fenced": date, "destroyed": date,
		}),
		"events": count, "streams": count, "byStream": counted("stream"), "inClear": count, "otherKeys": count, "copies": counted("kind"), "edits": count, "scrubbed": flag, "logEnd": text,
		"views": list(strict([]string{"projection", "outcome"}, object{
			"projection": text, "outcome": object{"enum": []subject.Outcome{subject.Untouched, subject.Planned, subject.Rebuilt, subject.Left}},
			"generation": count, "deleted": list(count), "note": text,
		})),
		"notCovered": list(text),
	})}
}

// erasable reports whether what is read of the store may be erased later.
func (s *server) erasable() bool { return s.store != nil && s.store.Erasable() }

// mayBeSealed refuses data that says it is sealed where nobody can tell: once there are
// keys, every reader would stop at what they don't open.
func (s *server) mayBeSealed(events []annals.Event) error {
	if s.store != nil && s.store.Seals() {
		return nil // appending it tells
	}
	for i := range events {
		if events[i].ContentType == annals.SealedContentType {
			return annals.Invalid("contentType", "of event %q is %s, and this server has no keys to tell whether that is so", events[i].ID, annals.SealedContentType)
		}
	}
	return nil
}

// openable refuses those of the items that mayBeSealed refuses.
func (s *server) openable(items iter.Seq2[ingest.Item, error]) iter.Seq2[ingest.Item, error] {
	if s.store != nil && s.store.Seals() {
		return items
	}
	return func(yield func(ingest.Item, error) bool) {
		for item, err := range items {
			// An escape may hide it; other texts need not be read twice.
			if err == nil && item.Err == nil && (bytes.Contains(item.Text, []byte("annals.sealed")) || bytes.IndexByte(item.Text, '\\') >= 0) {
				if m, err := ingest.Decode(item.Text); err == nil {
					item.Err = s.mayBeSealed([]annals.Event{m.Event})
				}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}
