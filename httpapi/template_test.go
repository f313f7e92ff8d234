package httpapi

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

const deployed = "../deploy/cdk/testdata/annals.template.json"

// On AWS each group is served by the function of a role, but for the erasure of data
// subjects, which takes longer than API Gateway waits and is a command.
var roleOf = map[Group]string{
	GroupIngest: "Load", GroupCommand: "Command", GroupQuery: "Query", GroupProcess: "Query", GroupOperate: "Write", GroupPlayback: "Playback",
}

// What is deployed sends every route to the function that serves its group, and
// to no other.
func TestDeployedRoutesReachTheirGroup(t *testing.T) {
	text, err := os.ReadFile(deployed)
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties struct {
				RouteKey string
				Target   any
			}
		}
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	roles := map[string]string{} // by route key
	for id, r := range template.Resources {
		if r.Type != "AWS::ApiGatewayV2::Route" {
			continue
		}
		target, _ := r.Properties.Target.(map[string]any)
		sub, _ := target["Fn::Sub"].(string)
		role, ok := strings.CutPrefix(sub, "integrations/${Annals")
		if !ok {
			t.Fatalf("%s has the target %v", id, r.Properties.Target)
		}
		roles[r.Properties.RouteKey] = strings.TrimSuffix(role, "Integration}")
	}
	for _, rt := range routes {
		if got := sentTo(roles, rt.method, rt.path); got != roleOf[rt.group] {
			t.Errorf("%s %s of %s is sent to %q, and %s serves it", rt.method, rt.path, rt.group, got, roleOf[rt.group])
		}
	}
}

// sentTo is the role that API Gateway sends a request to: the full match, or else
// the greedy one with the longest path.
func sentTo(roles map[string]string, method, path string) string {
	if role, ok := roles[method+" "+path]; ok {
		return role
	}
	for at := strings.LastIndex(path, "/"); at >= 0; at = strings.LastIndex(path[:at], "/") {
		if role, ok := roles[method+" "+path[:at]+"/{proxy+}"]; ok && path[at:] != "/" {
			return role
		}
	}
	return ""
}
