package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
)

func got(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", answer.Status, text, err)
	}
	return string(text)
}

// A server with a worker takes appends, follows them, and shows what they cost.
func TestServeAStoreInDynamoDB(t *testing.T) {
	store := initialized(t)
	server := begin(t, " on http://", "serve", "--sequence", "--listen", "127.0.0.1:0", "--store", store)
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	step{"append order-7 --type placed --correlation r-1", []string{"order-7 is at version 1\n"}}.run(t, address)
	step{"append order-7 --type placed --json", []string{`"position":"0"`}}.run(t, address)

	s, err := client.Open(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	n := int64(0)
	for e, err := range s.Follow(t.Context(), annals.Query{Limit: 2}) {
		if n++; err != nil || e.Position != n || e.Version != n {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	if stream := got(t, address+"/v1/streams/order-7/events"); strings.Contains(stream, "position") || !strings.Contains(stream, `"version":"2"`) {
		t.Errorf("a stream has no positions: %s", stream)
	}
	step{"trace r-1", []string{"request r-1: 1 event"}}.run(t, address)
	step{"read order-7 --from 2", []string{"     2  "}}.run(t, address)

	metrics := got(t, address+"/metrics")
	for _, want := range []string{
		`annals_dynamodb_requests_total{operation="append"} [1-9]`, `annals_dynamodb_write_units_total{operation="append"} [1-9]`,
		`annals_dynamodb_write_units_total{operation="sequence"} [1-9]`, `annals_dynamodb_read_units_total{operation="log"} (0\.5|[1-9])`,
		`annals_s3_puts_total{operation="append"} 0`, `annals_s3_gets_total{operation="append"} 0`, `annals_log_position 2`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(metrics) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	if exit := server.interrupt(); exit != 0 {
		t.Errorf("exit %d: %s", exit, server)
	}
}
