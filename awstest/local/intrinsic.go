package local

import (
	"fmt"
	"regexp"
	"strings"
)

// evaluate replaces the intrinsic functions in a value of the template. Those that
// are not played here are refused.
func (t *template) evaluate(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		var out []any
		for _, one := range v {
			one, err := t.evaluate(one)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
		return out, nil
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return t.apply(name, argument)
				}
			}
		}
		out := map[string]any{}
		for name, one := range v {
			one, err := t.evaluate(one)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out[name] = one
		}
		return out, nil
	}
	return v, nil
}

func (t *template) apply(function string, argument any) (any, error) {
	switch function {
	case "Ref":
		name, is := argument.(string)
		if !is {
			return nil, fmt.Errorf("the Ref %v", argument)
		}
		return t.ref(name)
	case "Fn::GetAtt":
		return t.getAtt(argument)
	case "Fn::Sub":
		return t.sub(argument)
	case "Fn::Join":
		list, is := argument.([]any)
		if !is || len(list) != 2 {
			return nil, fmt.Errorf("the Fn::Join %v", argument)
		}
		parts, err := t.evaluate(list[1])
		if err != nil {
			return nil, err
		}
		separator, is := list[0].(string)
		values, isList := parts.([]any)
		if !is || !isList {
			return nil, fmt.Errorf("the Fn::Join %v", argument)
		}
		texts := make([]string, len(values))
		for i, value := range values {
			texts[i] = fmt.Sprint(value)
		}
		return strings.Join(texts, separator), nil
	}
	return nil, fmt.Errorf("%s is not played here", function)
}

func (t *template) ref(name string) (any, error) {
	switch name {
	case "AWS::Region":
		return t.stack.region(), nil
	case "AWS::AccountId":
		return account, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return "stack", nil
	}
	if p, is := t.Parameters[name]; is {
		return p.Default, nil
	}
	r, is := t.Resources[name]
	if !is {
		return nil, fmt.Errorf("%s is no resource of the template", name)
	}
	switch r.Type {
	case "AWS::SQS::Queue":
		return fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", t.stack.region(), account, t.physical(name)), nil
	case "AWS::Lambda::LayerVersion":
		return t.stack.ARN("lambda", "layer:"+t.physical(name)+":1"), nil
	case "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Api":
		return name, nil
	}
	return t.physical(name), nil
}

// physical is the name that a resource has once it is made.
func (t *template) physical(name string) string {
	r := t.Resources[name]
	property := map[string]string{
		"AWS::DynamoDB::Table": "TableName", "AWS::SQS::Queue": "QueueName", "AWS::Kinesis::Stream": "Name", "AWS::S3::Bucket": "BucketName",
		"AWS::Lambda::Function": "FunctionName", "AWS::Events::Rule": "Name", "AWS::Logs::LogGroup": "LogGroupName", "AWS::IAM::Role": "RoleName",
		"AWS::Lambda::LayerVersion": "LayerName",
	}[r.Type]
	if value, has := r.Properties[property]; has {
		if text, err := t.evaluate(value); err == nil {
			return fmt.Sprint(text)
		}
	}
	return strings.ToLower(name)
}

func (t *template) getAtt(argument any) (any, error) {
	var name, attribute string
	switch a := argument.(type) {
	case string:
		name, attribute, _ = strings.Cut(a, ".")
	case []any:
		if len(a) == 2 {
			name, attribute = fmt.Sprint(a[0]), fmt.Sprint(a[1])
		}
	}
	r, is := t.Resources[name]
	if !is {
		return nil, fmt.Errorf("the Fn::GetAtt %v", argument)
	}
	physical := t.physical(name)
	if attribute == "StreamArn" && r.Type == "AWS::DynamoDB::Table" {
		return t.stack.TableStreamARN(physical), nil
	}
	if attribute == "QueueName" {
		return physical, nil
	}
	if attribute != "Arn" {
		return nil, fmt.Errorf("the attribute %s of a %s is not played here", attribute, r.Type)
	}
	switch r.Type {
	case "AWS::DynamoDB::Table":
		return t.stack.ARN("dynamodb", "table/"+physical), nil
	case "AWS::SQS::Queue":
		return t.stack.ARN("sqs", physical), nil
	case "AWS::Kinesis::Stream":
		return t.stack.ARN("kinesis", "stream/"+physical), nil
	case "AWS::S3::Bucket":
		return t.stack.ARN("s3", physical), nil
	case "AWS::Lambda::Function":
		return t.stack.ARN("lambda", "function:"+physical), nil
	case "AWS::Logs::LogGroup":
		return t.stack.ARN("logs", "log-group:"+physical+":*"), nil
	case "AWS::Events::Rule":
		return t.stack.ARN("events", "rule/"+physical), nil
	case "AWS::IAM::Role":
		return "arn:aws:iam::" + account + ":role/" + physical, nil
	case "AWS::KMS::Key":
		return t.stack.ARN("kms", "key/"+physical), nil
	case "AWS::SNS::Topic":
		return t.stack.ARN("sns", physical), nil
	}
	return nil, fmt.Errorf("the ARN of a %s is not played here", r.Type)
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

func (t *template) sub(argument any) (any, error) {
	text, is := argument.(string)
	own := map[string]any{}
	if list, isList := argument.([]any); isList && len(list) == 2 {
		text, is = list[0].(string)
		values, err := t.evaluate(list[1])
		if err != nil {
			return nil, err
		}
		own, _ = values.(map[string]any)
	}
	if !is {
		return nil, fmt.Errorf("the Fn::Sub %v", argument)
	}
	var failed error
	out := variable.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		if literal, is := strings.CutPrefix(name, "!"); is {
			return "${" + literal + "}"
		}
		value, has := own[name]
		var err error
		switch {
		case has:
		case strings.Contains(name, "."):
			value, err = t.getAtt(name)
		default:
			value, err = t.ref(name)
		}
		if err != nil && failed == nil {
			failed = err
		}
		return fmt.Sprint(value)
	})
	return out, failed
}
