package compare

import "maps"

var functionParts = []part{
	{
		what: "function",
		template: side{
			kind: "AWS::Lambda::Function", name: path("FunctionName"), more: environment("Environment", "Variables"),
			left: []string{"Code", "Role"}, // where the code lies is each side's own; the role is compared as grants
		},
		module: side{
			kind: "aws_lambda_function", name: path("function_name"), more: environment("environment", "variables"),
			left: []string{"filename", "source_code_hash", "role"},
		},
		rows: []row{
			{"description", "Description", "description", ""},
			{"package", "PackageType", "package_type", "Zip"},
			{"runtime", "Runtime", "runtime", ""},
			{"handler", "Handler", "handler", ""},
			{"architecture", "Architectures", "architectures", "x86_64"},
			{"timeout", "Timeout", "timeout", "3"},
			{"memory", "MemorySize", "memory_size", "128"},
			{"layers", "Layers", "layers", ""},
			{"log group", "LoggingConfig.LogGroup", "logging_config.log_group", ""},
			{"log format", "LoggingConfig.LogFormat", "logging_config.log_format", "Text"},
			{"tracing", "TracingConfig.Mode", "tracing_config.mode", "PassThrough"},
			{"recursion", "RecursiveLoop", "", ""},
		},
	},
	{
		what:   "function",
		module: side{kind: "aws_lambda_function_recursion_config", name: path("function_name")},
		rows:   []row{{"recursion", "", "recursive_loop", ""}},
	},
	{
		what:     "layer",
		template: side{kind: "AWS::Lambda::LayerVersion", name: path("LayerName"), left: []string{"Content"}},
		module:   side{kind: "aws_lambda_layer_version", name: path("layer_name"), left: []string{"filename", "source_code_hash"}},
		rows: []row{
			{"description", "Description", "description", ""},
			{"architectures", "CompatibleArchitectures", "compatible_architectures", ""},
			{"runtimes", "CompatibleRuntimes", "compatible_runtimes", ""},
		},
	},
	{
		what:     "log group",
		template: side{kind: "AWS::Logs::LogGroup", name: path("LogGroupName")},
		module:   side{kind: "aws_cloudwatch_log_group", name: path("name")},
		rows: []row{
			{"retention days", "RetentionInDays", "retention_in_days", "for ever"},
			{"KMS key", "KmsKeyId", "kms_key_id", ""},
		},
	},
	{
		what:     "role of",
		template: side{kind: "AWS::IAM::Role", name: templateRoleName, more: templateRole},
		module: side{kind: "aws_iam_role", name: func(r *reading, s *settings) string {
			return r.role("role " + s.text("name_prefix"))
		}, more: func(_ *reading, s *settings) (Fields, error) {
			return policyFields("trust: ", s.value("assume_role_policy"))
		}},
		rows: []row{{"description", "Description", "description", ""}},
	},
	{
		what: "role of",
		module: side{kind: "aws_iam_role_policy", name: func(r *reading, s *settings) string {
			return r.role(s.text("role"))
		}, more: func(_ *reading, s *settings) (Fields, error) {
			return policyFields("grant: ", s.value("policy"))
		}, left: []string{"name"}},
	},
}

// templateID is the setting by which a resource of a template knows its own
// logical id.
const templateID = "logical id"

func templateRoleName(r *reading, s *settings) string { return r.role("role " + s.text(templateID)) }

func templateRole(_ *reading, s *settings) (Fields, error) {
	fields, err := policyFields("trust: ", s.value("AssumeRolePolicyDocument"))
	if err != nil {
		return nil, err
	}
	for _, policy := range s.list("Policies") {
		policy.text("PolicyName")
		grants, err := policyFields("grant: ", policy.value("PolicyDocument"))
		if err != nil {
			return nil, err
		}
		maps.Copy(fields, grants)
	}
	return fields, nil
}

func policyFields(prefix string, document any) (Fields, error) {
	grants, err := grantsOf(document)
	if err != nil {
		return nil, err
	}
	fields := Fields{}
	for grant, effect := range grants {
		fields[prefix+grant] = effect
	}
	return fields, nil
}

func environment(keys ...string) func(*reading, *settings) (Fields, error) {
	return func(_ *reading, s *settings) (Fields, error) {
		variables, _ := s.value(keys...).(map[string]any)
		fields := Fields{}
		for name, value := range variables {
			fields["environment "+name] = asText(value)
		}
		return fields, nil
	}
}
