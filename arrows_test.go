package annals_test

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/eb901187/annals"

// arrows say which of our packages each package may import, itself and what
// those import included. ARCHITECTURE.md draws them.
var arrows = map[string][]string{
	"":                            nil,
	"embedded":                    {""},
	"dynamo":                      {""},
	"storetest":                   {""},
	"storetest/stores":            {"", "embedded", "dynamo"},
	"proof":                       {""},
	"subject":                     {""},
	"embedded/crashfs":            nil,
	"listen/listentest":           nil,
	"subject/subjecttest":         {"", "subject", "storetest"},
	"subject/erase":               append([]string{"subject", "projection", "aggregate", "effect", "playback"}, projecting...),
	"subject/keys":                {"", "subject"},
	"robust":                      {""},
	"robust/linear":               {""},
	"robust/delivery":             append([]string{"awstest", "awstest/local", "kinesis", "deadletter", "lambda"}, anything...),
	"robust/fuzzapi":              anything,
	"awstest":                     nil,
	"sqltest":                     nil,
	"aggregate":                   {""},
	"aggregate/aggregatetest":     {"", "aggregate"},
	"view":                        {""},
	"view/viewtest":               {"", "view"},
	"view/pebbleview":             {"", "view"},
	"view/dynamoview":             {"", "view"},
	"view/sqlview":                {"", "view"},
	"view/sqlview/connect":        {"", "view", "view/sqlview"},
	"consumer":                    {"", "view"},
	"yamlfile":                    {""},
	"projection/fold":             {"", "yamlfile"},
	"projection":                  projecting,
	"reaction":                    {"", "view", "consumer", "effect"},
	"effect":                      {"", "view", "consumer"},
	"ingest":                      {""},
	"playback":                    {"", "view", "consumer", "effect", "projection/fold", "yamlfile"},
	"reversal":                    {"", "projection/fold", "yamlfile"},
	"access":                      {""},
	"listen":                      {""},
	"tracking":                    {"", "tracking/spool"},
	"tracking/spool":              {""},
	"tracking/sink":               append([]string{"tracking", "tracking/spool", "kinesis", "playback", "ingest"}, projecting...),
	"tracking/gateway":            {"", "listen", "tracking", "tracking/spool", "yamlfile"},
	"httpapi":                     append([]string{"projection", "playback", "ingest", "tracking", "tracking/spool", "access", "proof", "subject"}, projecting...),
	"httpapi/console":             append([]string{"projection", "playback", "ingest", "tracking", "tracking/spool", "access", "proof", "subject", "httpapi", "reversal"}, projecting...),
	"httpapi/console/consoletest": anything,
	"client":                      append([]string{"projection", "playback", "httpapi", "ingest", "tracking", "tracking/spool", "access", "proof", "subject"}, projecting...),
	"kinesis":                     {"", "view", "consumer", "effect", "projection/fold", "yamlfile", "ingest", "playback"},
	"deadletter":                  {"", "ingest"},
	"lambda":                      append([]string{"kinesis", "deadletter"}, anything...),
	"awstest/local":               {"awstest"},
	"robust/aws":                  append([]string{"awstest", "awstest/local", "kinesis", "deadletter"}, anything...),
	"cmd/bootstrap":               append([]string{"lambda", "kinesis", "deadletter"}, anything...),
	"cmd/bootstrap/pack":          nil,
	"examples/awsreact":           append([]string{"lambda", "kinesis", "deadletter"}, anything...),
	"cmd/annals/bench":            anything,
	"cmd/annals":                  anything,
	"examples/saga":               anything,
	"examples/doublecharge":       anything,
}

// projecting is what projections are made of.
var projecting = []string{"", "view", "view/sqlview", "consumer", "effect", "projection/fold", "yamlfile"}

// anything is for commands, which choose what the rest is agnostic of.
var anything = append([]string{
	"embedded", "dynamo", "client", "httpapi", "ingest", "tracking", "tracking/spool", "tracking/sink", "tracking/gateway", "access", "listen", "proof", "subject", "subject/keys", "subject/erase", "httpapi/console", "aggregate", "reaction", "reversal", "effect", "playback", "projection",
	"kinesis", "deadletter", "view/pebbleview", "view/dynamoview", "view/sqlview/connect", "cmd/annals/bench",
}, projecting...)

// drivers may be imported by commands and tests only, and so may view stores.
var drivers = []string{"embedded", "dynamo", "client", "view/pebbleview", "view/dynamoview", "view/sqlview/connect"}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	c := exec.Command("go", append([]string{"list"}, args...)...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, errs.String())
	}
	return strings.Fields(string(out))
}

func TestArrows(t *testing.T) {
	for _, path := range goList(t, "./...") {
		name := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %s has no arrows: say in this test and in ARCHITECTURE.md what it may import", path)
			continue
		}
		for _, dep := range goList(t, "-deps", path) {
			ours, is := strings.CutPrefix(dep, module)
			ours = strings.TrimPrefix(ours, "/")
			if !is || ours == name || slices.Contains(allowed, ours) {
				continue
			}
			reason := "arrows run one way: cmd → client → httpapi → projection → consumer → view → the root"
			if slices.Contains(drivers, ours) {
				reason = "a driver may be chosen by commands and tests only, so that everything else works on every store"
			}
			t.Errorf("%s imports %s: %s", path, dep, reason)
		}
	}
}

// Whoever imports the event store gets nothing but the standard library with it.
func TestRootImportsTheStandardLibraryOnly(t *testing.T) {
	for _, dep := range goList(t, "-deps", ".") {
		if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") && dep != module {
			t.Errorf("the root imports %s", dep)
		}
	}
}

// Names that say nothing are not used for packages.
func TestPackageNames(t *testing.T) {
	for _, path := range goList(t, "./...") {
		for _, bad := range []string{"util", "common", "types", "core", "pkg", "helper", "manager", "impl"} {
			if strings.Contains("/"+path+"/", "/"+bad) {
				t.Errorf("%s: name a package for what it holds", path)
			}
		}
	}
}
