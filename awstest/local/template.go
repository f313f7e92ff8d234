package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// A template is a CloudFormation template in JSON.
type template struct {
	Parameters map[string]struct{ Default any }
	Resources  map[string]struct {
		Type       string
		Properties map[string]any
	}
	stack Stack
}

// ReadTemplate reads the stack that a CloudFormation template in JSON describes:
// its tables, buckets, queues, Kinesis streams, functions with the policies of
// their roles, event source mappings, the routes of HTTP APIs, and rules with a
// schedule. Alarms, dashboards, log groups and what else runs nothing are passed
// over. An error names the resource that can't be played.
func ReadTemplate(path string) (Stack, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Stack{}, err
	}
	t := &template{}
	if err := json.Unmarshal(data, t); err != nil {
		return Stack{}, fmt.Errorf("%s: %w", path, err)
	}
	readers := map[string]func(*template, string, []byte) error{
		"AWS::DynamoDB::Table": (*template).table, "AWS::S3::Bucket": (*template).bucket, "AWS::SQS::Queue": (*template).queue,
		"AWS::Kinesis::Stream": (*template).stream, "AWS::Lambda::Function": (*template).function,
		"AWS::Lambda::EventSourceMapping": (*template).mapping, "AWS::ApiGatewayV2::Route": (*template).route, "AWS::Events::Rule": (*template).rule,
	}
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		r := t.Resources[name]
		read := readers[r.Type]
		if read == nil {
			continue
		}
		properties, err := t.properties(name)
		if err == nil {
			err = read(t, name, properties)
		}
		if err != nil {
			return Stack{}, fmt.Errorf("%s: the %s %s: %w", path, r.Type, name, err)
		}
	}
	return t.stack, nil
}

// properties returns the evaluated properties of a resource, as JSON.
func (t *template) properties(name string) ([]byte, error) {
	values, err := t.evaluate(t.Resources[name].Properties)
	if err != nil {
		return nil, err
	}
	return json.Marshal(values)
}

func (t *template) table(name string, properties []byte) error {
	var p struct {
		AttributeDefinitions []struct{ AttributeName, AttributeType string }
		KeySchema            []struct{ AttributeName, KeyType string }
		StreamSpecification  struct{ StreamViewType string }
		TTL                  struct{ AttributeName string } `json:"TimeToLiveSpecification"`
	}
	if err := json.Unmarshal(properties, &p); err != nil {
		return err
	}
	table := Table{Name: t.physical(name), StreamView: p.StreamSpecification.StreamViewType, TTL: p.TTL.AttributeName}
	for _, key := range p.KeySchema {
		for _, a := range p.AttributeDefinitions {
			switch {
			case a.AttributeName != key.AttributeName:
			case key.KeyType == "HASH":
				table.Hash = a.AttributeName + ":" + a.AttributeType
			default:
				table.Range = a.AttributeName + ":" + a.AttributeType
			}
		}
	}
	t.stack.Tables = append(t.stack.Tables, table)
	return nil
}

func (t *template) bucket(name string, _ []byte) error {
	t.stack.Buckets = append(t.stack.Buckets, t.physical(name))
	return nil
}

func (t *template) queue(name string, properties []byte) error {
	var p map[string]any
	in := json.NewDecoder(bytes.NewReader(properties))
	in.UseNumber() // 1209600 is not to become 1.2096e+06
	if err := in.Decode(&p); err != nil {
		return err
	}
	queue := Queue{Name: t.physical(name), Attributes: map[string]string{}}
	for _, attribute := range []string{"VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize", "DelaySeconds", "RedrivePolicy"} {
		switch value := p[attribute].(type) {
		case nil:
		case map[string]any:
			text, err := json.Marshal(value)
			if err != nil {
				return err
			}
			queue.Attributes[attribute] = string(text)
		default:
			queue.Attributes[attribute] = fmt.Sprint(value)
		}
	}
	t.stack.Queues = append(t.stack.Queues, queue)
	return nil
}

func (t *template) stream(name string, properties []byte) error {
	var p struct{ ShardCount int32 }
	if err := json.Unmarshal(properties, &p); err != nil {
		return err
	}
	t.stack.Streams = append(t.stack.Streams, Stream{Name: t.physical(name), Shards: p.ShardCount})
	return nil
}

func (t *template) function(name string, properties []byte) error {
	var p struct {
		Timeout, MemorySize, ReservedConcurrentExecutions int
		Role                                              string
		Environment                                       struct{ Variables map[string]string }
	}
	if err := json.Unmarshal(properties, &p); err != nil {
		return err
	}
	grants, err := t.grants(p.Role)
	if err != nil {
		return err
	}
	t.stack.Functions = append(t.stack.Functions, Function{
		Name: t.physical(name), Env: p.Environment.Variables, Timeout: time.Duration(p.Timeout) * time.Second, Memory: p.MemorySize,
		Concurrency: p.ReservedConcurrentExecutions, Grants: grants,
	})
	return nil
}

// grants reads the policies of a role.
func (t *template) grants(arn string) ([]Grant, error) {
	type policy struct {
		PolicyDocument struct {
			Statement []struct {
				Effect           string
				Action, Resource texts
				Condition        any
			}
		}
	}
	for name, r := range t.Resources {
		if r.Type != "AWS::IAM::Role" || arn != "arn:aws:iam::"+account+":role/"+t.physical(name) {
			continue
		}
		properties, err := t.properties(name)
		if err != nil {
			return nil, err
		}
		var p struct {
			Policies          []policy
			ManagedPolicyArns []string
		}
		if err := json.Unmarshal(properties, &p); err != nil {
			return nil, fmt.Errorf("the role %s: %w", name, err)
		}
		if len(p.ManagedPolicyArns) > 0 {
			return nil, fmt.Errorf("the role %s: managed policies are not played here", name)
		}
		var grants []Grant
		for _, policy := range p.Policies {
			for _, s := range policy.PolicyDocument.Statement {
				if s.Condition != nil {
					return nil, fmt.Errorf("the role %s: conditions are not played here", name)
				}
				grants = append(grants, Grant{Deny: s.Effect != "Allow", Actions: s.Action, Resources: s.Resource})
			}
		}
		return grants, nil
	}
	return nil, fmt.Errorf("its role %s is not in the template", arn)
}

// texts is a text or a list of them.
type texts []string

// UnmarshalJSON takes both.
func (s *texts) UnmarshalJSON(data []byte) error {
	if strings.HasPrefix(string(data), "[") {
		return json.Unmarshal(data, (*[]string)(s))
	}
	*s = make(texts, 1)
	return json.Unmarshal(data, &(*s)[0])
}
