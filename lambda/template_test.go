package lambda

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// Every function that is deployed has an environment that its role starts with,
// and every role is deployed.
func TestDeployedEnvironmentsAreRead(t *testing.T) {
	var roles []Role
	for _, file := range []string{"annals.template.json", "chosen.template.json"} {
		text, err := os.ReadFile("../deploy/cdk/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var template struct {
			Resources map[string]struct {
				Type       string
				Properties struct {
					FunctionName any
					Environment  struct{ Variables map[string]any }
				}
			}
		}
		if err := json.Unmarshal(text, &template); err != nil {
			t.Fatal(err)
		}
		for id, r := range template.Resources {
			if r.Type != "AWS::Lambda::Function" {
				continue
			}
			var environ []string
			for name, value := range r.Properties.Environment.Variables {
				environ = append(environ, name+"="+deployedValue(t, value))
			}
			config, err := ReadConfig(environ)
			if err != nil {
				t.Errorf("%s: %s: %v", file, id, err)
				continue
			}
			if name, _ := r.Properties.FunctionName.(string); !strings.HasSuffix(name, "-"+string(config.Role)) {
				t.Errorf("%s: %s has the role %s", file, name, config.Role)
			}
			roles = append(roles, config.Role)
		}
	}
	for _, role := range Roles() {
		if !slices.Contains(roles, role) {
			t.Errorf("%s is not deployed", role)
		}
	}
}

// deployedValue is what CloudFormation makes of a value.
func deployedValue(t *testing.T, v any) string {
	t.Helper()
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if text, ok := v["Fn::Sub"].(string); ok {
			return strings.ReplaceAll(text, "${AnnalsBucket}", "a-bucket")
		}
		if v["Ref"] == "AnnalsDeadLetters" {
			return "https://sqs.eu-central-1.amazonaws.com/111122223333/annals-dead-letters"
		}
	}
	t.Fatalf("%v is not understood", v)
	return ""
}
