package console

import (
	"testing"

	"github.com/eb901187/annals/httpapi"
)

// Pages take places at work as requests of the API do, and are told when to come again.
func TestPagesTakePlaces(t *testing.T) {
	admission := httpapi.NewAdmission(httpapi.AdmissionLimits{Requests: 1})
	c, logged := framed(t, Options{Admission: admission})
	leave, err := admission.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w := ask(c, "GET", "/console/streams"); w.Code != 503 || w.Header().Get("Retry-After") == "" || logged.Len() > 0 {
		t.Errorf("beside all that it takes: %d, Retry-After %q, logged %s", w.Code, w.Header().Get("Retry-After"), logged)
	}
	leave()
	for range 2 { // the first gives its place back
		if w := ask(c, "GET", "/console/streams"); w.Code != 200 {
			t.Errorf("with room: %d\n%s", w.Code, w.Body)
		}
	}
}
