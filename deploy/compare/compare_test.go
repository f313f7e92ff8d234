package compare

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

const (
	moduleDir    = "../terraform"
	templatePath = "../cdk/testdata/annals.template.json"
	chosenPath   = "../cdk/testdata/chosen.template.json"
)

// given are the variables that correspond to the props of the golden template.
var given = map[string]cty.Value{
	"lambda_zip":  cty.StringVal("annals.zip"),
	"react_zip":   cty.StringVal("react.zip"),
	"projections": cty.StringVal("projections.zip"),
}

func readModule(t *testing.T, files map[string][]byte, given map[string]cty.Value) (Model, error) {
	t.Helper()
	module, err := ParseModule(files)
	if err != nil {
		t.Fatal(err)
	}
	return module.Evaluate(given)
}

func sources(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := ReadFiles(moduleDir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func golden(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTerraformAndCDKMakeTheSame(t *testing.T) {
	for path, variables := range map[string]map[string]cty.Value{templatePath: given, chosenPath: chosen} {
		template, err := ReadTemplate(golden(t, path))
		if err != nil {
			t.Fatal(err)
		}
		module, err := readModule(t, sources(t), variables)
		if err != nil {
			t.Fatal(err)
		}
		for _, difference := range Diff(template, module, filepath.Base(path), "Terraform") {
			t.Error(difference)
		}
	}
}

// chosen are those of the template whose props are away from their defaults.
var chosen = map[string]cty.Value{
	"name":                   cty.StringVal("orders"),
	"lambda_zip":             cty.StringVal("annals.zip"),
	"roles":                  cty.SetVal([]cty.Value{cty.StringVal("load"), cty.StringVal("track"), cty.StringVal("pump"), cty.StringVal("sequence"), cty.StringVal("query")}),
	"kms_key_arn":            cty.StringVal("arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"),
	"subject_key_arn":        cty.StringVal("arn:aws:kms:eu-central-1:111122223333:key/66666666-7777-8888-9999-000000000000"),
	"architecture":           cty.StringVal("x86_64"),
	"shards":                 cty.NumberIntVal(4),
	"log_retention_days":     cty.NumberIntVal(7),
	"stream_retention_hours": cty.NumberIntVal(48),
	"max_record_age_seconds": cty.NumberIntVal(3 * 3600),
	"alarm_topic_arn":        cty.StringVal("arn:aws:sns:eu-central-1:111122223333:orders-alarms"),
	"tracing":                cty.True,
	"traces_endpoint":        cty.StringVal("https://otlp.example.com"),
	"log_level":              cty.StringVal("debug"),
	"metrics_namespace":      cty.StringVal("Orders"),
	"dashboard":              cty.False,
	"deletion_protection":    cty.False,
	"throttling":             cty.ObjectVal(map[string]cty.Value{"rate": cty.NumberIntVal(50), "burst": cty.NumberIntVal(100)}),
	"authorizer": cty.ObjectVal(map[string]cty.Value{
		"issuer":   cty.StringVal("https://issuer.example.com"),
		"audience": cty.TupleVal([]cty.Value{cty.StringVal("orders")}),
		"scopes":   cty.TupleVal([]cty.Value{cty.StringVal("orders/write")}),
	}),
}
