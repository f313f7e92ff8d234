package compare

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

var (
	providerSchema = flag.String("provider-schema", "", "a file that terraform providers schema -json wrote: take testdata/provider.json from it")
	providerOrigin = flag.String("provider-origin", "", "with -provider-schema: which provider wrote it")
)

const schemaPath = "testdata/provider.json"

// readSchema reads what testdata holds of the provider's schema.
func readSchema(t *testing.T, module *Module) *Schema {
	t.Helper()
	if *providerSchema != "" {
		writeSchema(t, module)
	}
	var s Schema
	if err := json.Unmarshal(golden(t, schemaPath), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func writeSchema(t *testing.T, module *Module) {
	t.Helper()
	full, err := os.Open(*providerSchema)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	s, err := ExtractSchema(full, *providerOrigin, module.Types())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(schemaPath, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestModuleHasNoProblems(t *testing.T) {
	module, err := ParseModule(sources(t))
	if err != nil {
		t.Fatal(err)
	}
	schema := readSchema(t, module)
	for _, variables := range []map[string]cty.Value{given, chosen} {
		for _, problem := range module.Problems(schema, variables) {
			t.Error(problem)
		}
	}
}

func TestExampleHasNoUndeclaredReferences(t *testing.T) {
	files, err := ReadFiles(filepath.Join(moduleDir, "examples/complete"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := ParseModule(files)
	if err != nil {
		t.Fatal(err)
	}
	module, err := ParseModule(sources(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range example.ModuleProblems(map[string]*Module{"../..": module}) {
		t.Error(problem)
	}
}

func TestPlantedProblems(t *testing.T) {
	for _, c := range []struct{ file, old, new, found string }{
		{"tables.tf", "billing_mode ", "billing ", "aws_dynamodb_table.events: billing is no argument"},
		{"api.tf", "  action        = \"lambda:InvokeFunction\"\n", "", "aws_lambda_permission.api: lacks action"},
		{"streams.tf", "  stream_mode_details {", "  stream_mode {", "aws_kinesis_stream.ingest: stream_mode is no argument"},
		{"functions.tf", "timeout          = local", "timeout = [local.roles] #", "timeout has the wrong type"},
		{"functions.tf", "  runtime  ", "  arn = \"\"\n  runtime  ", "arn is set by the provider only"},
		{"outputs.tf", "aws_s3_bucket.store.bucket", "aws_s3_bucket.store.colour", "aws_s3_bucket.store has no attribute colour"},
		{"outputs.tf", "aws_s3_bucket.store.bucket", "aws_s3_bucket.shop.bucket", "aws_s3_bucket.shop is not declared"},
		{"outputs.tf", "  description = \"Name of the bucket.\"\n", "", "output.bucket_name has no description"},
		{"queues.tf", "var.name", "var.title", "var.title is not declared"},
		{"queues.tf", "var.name", "each.key", "each.key is not declared"},
		{"variables.tf", "  type        = bool\n", "", "has no description or no type"},
		{"dashboard.tf", "locals {", "locals {\n  lonely = 1", "nothing refers to local.lonely"},
		{"mappings.tf", "    on_failure {", "    on_failure {\n    }\n    on_failure {", "on_failure is there 2 times"},
	} {
		files := sources(t)
		if !strings.Contains(string(files[c.file]), c.old) {
			t.Errorf("%s has no %q", c.file, c.old)
			continue
		}
		files[c.file] = []byte(strings.Replace(string(files[c.file]), c.old, c.new, 1))
		module, err := ParseModule(files)
		if err != nil {
			t.Errorf("%s with %s: %v", c.file, c.new, err)
			continue
		}
		mustFind(t, module.Problems(readSchema(t, module), given), c.new, c.found)
	}
}

// The files are as terraform fmt writes them.
func TestFormat(t *testing.T) {
	for _, pattern := range []string{"*.tf", "examples/*/*.tf", "tests/*.hcl"} {
		paths, err := filepath.Glob(filepath.Join(moduleDir, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
		}
		for _, path := range paths {
			text := golden(t, path)
			if !bytes.Equal(hclwrite.Format(text), text) {
				t.Errorf("%s: terraform fmt would change it", path)
			}
		}
	}
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Log("terraform is not on PATH; its own formatter was not asked")
		return
	}
	if out, err := exec.Command(terraform, "fmt", "-check", "-diff", "-recursive", moduleDir).CombinedOutput(); err != nil {
		t.Errorf("terraform fmt -check: %v\n%s", err, out)
	}
}

// Each role can be deployed without the others.
func TestEachRoleAlone(t *testing.T) {
	for _, role := range []string{"load", "track", "pump", "command", "query", "sequence", "write", "react", "playback"} {
		variables := map[string]cty.Value{
			"lambda_zip": cty.StringVal("annals.zip"), "roles": cty.SetVal([]cty.Value{cty.StringVal(role)}),
		}
		if role == "react" {
			variables["react_zip"] = cty.StringVal("react.zip")
		}
		model, err := readModule(t, sources(t), variables)
		if err != nil {
			t.Errorf("%s: %v", role, err)
			continue
		}
		for name, fields := range model {
			if strings.HasPrefix(name, "function ") && name != "function annals-"+role {
				t.Errorf("%s alone: there is %s", role, name)
			}
			for field, value := range fields {
				if strings.HasSuffix(field, " on ") || strings.Contains(field, "on it") && !strings.HasPrefix(field, "trust: ") {
					t.Errorf("%s alone: %s: %s = %s names no resource", role, name, field, value)
				}
			}
		}
	}
}

// Where code lies is no part of the comparison; that react has its own is.
func TestReactHasItsOwnZip(t *testing.T) {
	module, err := ParseModule(sources(t))
	if err != nil {
		t.Fatal(err)
	}
	instances, _, err := module.evaluate(given)
	if err != nil {
		t.Fatal(err)
	}
	functions := 0
	for _, in := range instances {
		if in.kind != "aws_lambda_function" {
			continue
		}
		functions++
		want := "annals.zip"
		if in.key == "react" {
			want = "react.zip"
		}
		if in.values["filename"] != want || in.values["source_code_hash"] != "the hash of "+want {
			t.Errorf("%s has the code %v with %v, not %s", in.key, in.values["filename"], in.values["source_code_hash"], want)
		}
	}
	if functions != 9 {
		t.Errorf("%d functions", functions)
	}
}
