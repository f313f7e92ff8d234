package cdk_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/eb901187/annals/deploy/cdk"
)

var update = flag.Bool("update", false, "write the golden template anew")

// The golden templates: of everything, and of other choices for every prop.
const (
	golden       = "testdata/annals.template.json"
	goldenChosen = "testdata/chosen.template.json"
)

// All tests share one Node process.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// stockZip is a zip of fixed bytes in place of the one that make lambda builds,
// so that templates don't change with the binary.
func stockZip(t *testing.T, content string) string {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	f, err := w.Create("bootstrap")
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "annals.zip")
	if err := os.WriteFile(path, buffer.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// everything are default props and what is only made if it is given.
func everything(t *testing.T) cdk.Props {
	return cdk.Props{Zip: stockZip(t, "stock"), ReactZip: stockZip(t, "react"), Projections: "testdata/projections"}
}

// synthesize returns the template that the props make, as text whose order is
// fixed.
func synthesize(t *testing.T, props cdk.Props) []byte {
	t.Helper()
	out := t.TempDir()
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &out, AnalyticsReporting: new(false)})
	stack := awscdk.NewStack(app, new("annals"), &awscdk.StackProps{Description: new("Annals: an event store, and the functions that serve it")})
	if _, err := cdk.NewAnnals(stack, "Annals", props); err != nil {
		t.Fatal(err)
	}
	app.Synth(nil)
	text, err := os.ReadFile(filepath.Join(out, "annals.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template any
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	var sorted bytes.Buffer
	e := json.NewEncoder(&sorted)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(template); err != nil {
		t.Fatal(err)
	}
	return sorted.Bytes()
}

// chosen are props of which none has its default.
func chosen(t *testing.T) cdk.Props {
	return cdk.Props{
		Name: "orders", Zip: stockZip(t, "stock"), Architecture: cdk.X8664,
		Roles:            []cdk.Role{cdk.Load, cdk.Track, cdk.Pump, cdk.Query, cdk.Sequence},
		LogRetentionDays: 7, StreamRetentionHours: 48, Shards: 4, MaxRecordAge: 3 * time.Hour,
		Authorizer:    cdk.Authorizer{Issuer: "https://issuer.example.com", Audience: []string{"orders"}, Scopes: []string{"orders/write"}},
		Throttling:    cdk.Throttling{Rate: 50, Burst: 100},
		KeyArn:        "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555",
		SubjectKeyArn: "arn:aws:kms:eu-central-1:111122223333:key/66666666-7777-8888-9999-000000000000",
		Alarms:        cdk.Alarms{TopicArn: "arn:aws:sns:eu-central-1:111122223333:orders-alarms"},
		NoDashboard:   true, Tracing: true, TracesEndpoint: "https://otlp.example.com", LogLevel: "debug", MetricsNamespace: "Orders",
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	}
}

// The golden templates are what reviews of a change see, and what the end-to-end
// tests and the comparison with the Terraform module read.
func TestGolden(t *testing.T) {
	for path, props := range map[string]cdk.Props{golden: everything(t), goldenChosen: chosen(t)} {
		got := synthesize(t, props)
		if *update {
			write(t, path, got)
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if line, gotLine, wantLine := difference(got, want); line > 0 {
			t.Errorf("%s differs from what the construct makes, first in line %d:\n got %s\nwant %s\nIf that is meant: go test -run TestGolden -update", path, line, gotLine, wantLine)
		}
	}
}

// difference is the first line in which two texts differ; 0 if there is none.
func difference(a, b []byte) (line int, inA, inB string) {
	if bytes.Equal(a, b) {
		return 0, "", ""
	}
	linesA, linesB := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range max(len(linesA), len(linesB)) {
		if inA, inB = lineAt(linesA, i), lineAt(linesB, i); inA != inB {
			return i + 1, inA, inB
		}
	}
	return len(linesA), "", ""
}

func lineAt(lines []string, i int) string {
	if i >= len(lines) {
		return "(the end)"
	}
	return lines[i]
}
