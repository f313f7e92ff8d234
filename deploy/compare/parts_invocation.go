package compare

import "strings"

// What invokes functions but for the HTTP API.
var invocationParts = []part{
	{
		what:     "mapping",
		template: side{kind: "AWS::Lambda::EventSourceMapping", name: mapping("EventSourceArn", "FunctionName"), more: filters("FilterCriteria.Filters", "Pattern")},
		module:   side{kind: "aws_lambda_event_source_mapping", name: mapping("event_source_arn", "function_name"), more: filters("filter_criteria.filter", "pattern")},
		rows: []row{
			{"enabled", "Enabled", "enabled", "true"},
			{"batch size", "BatchSize", "batch_size", ""},
			{"window seconds", "MaximumBatchingWindowInSeconds", "maximum_batching_window_in_seconds", "0"},
			{"starts at", "StartingPosition", "starting_position", ""},
			{"parallel", "ParallelizationFactor", "parallelization_factor", "1"},
			{"bisect", "BisectBatchOnFunctionError", "bisect_batch_on_function_error", "false"},
			{"retries", "MaximumRetryAttempts", "maximum_retry_attempts", "-1"},
			{"record age seconds", "MaximumRecordAgeInSeconds", "maximum_record_age_in_seconds", "-1"},
			{"partial answers", "FunctionResponseTypes", "function_response_types", ""},
			{"on failure", "DestinationConfig.OnFailure.Destination", "destination_config.on_failure.destination_arn", ""},
		},
	},
	{
		what:     "permission",
		template: side{kind: "AWS::Lambda::Permission", name: permission("Principal", "FunctionName")},
		module:   side{kind: "aws_lambda_permission", name: permission("principal", "function_name"), left: []string{"statement_id"}},
		rows: []row{
			{"action", "Action", "action", ""},
			{"source", "SourceArn", "source_arn", ""},
			{"account", "SourceAccount", "source_account", ""},
		},
	},
	{
		what:     "rule",
		template: side{kind: "AWS::Events::Rule", name: path("Name"), more: ruleTargets},
		module:   side{kind: "aws_cloudwatch_event_rule", name: path("name")},
		rows: []row{
			{"description", "Description", "description", ""},
			{"schedule", "ScheduleExpression", "schedule_expression", ""},
			{"state", "State", "state", "ENABLED"},
		},
	},
	{
		what: "rule",
		module: side{kind: "aws_cloudwatch_event_target", name: path("rule"), more: func(_ *reading, s *settings) (Fields, error) {
			return Fields{"target " + s.text("target_id"): s.text("arn")}, nil
		}},
	},
}

func ruleTargets(_ *reading, s *settings) (Fields, error) {
	fields := Fields{}
	for _, target := range s.list("Targets") {
		fields["target "+target.text("Id")] = target.text("Arn")
	}
	return fields, nil
}

// mapping names an event source mapping by what it reads and whom it invokes.
func mapping(source, function string) func(*reading, *settings) string {
	return func(_ *reading, s *settings) string {
		return "of " + s.text(source) + " to " + functionName(s.text(function))
	}
}

func permission(principal, function string) func(*reading, *settings) string {
	return func(_ *reading, s *settings) string {
		return "of " + s.text(principal) + " to invoke " + functionName(s.text(function))
	}
}

// functionName is that of a function which is named by its name or its ARN.
func functionName(function string) string {
	return function[strings.LastIndex(function, ":")+1:]
}

func filters(list, pattern string) func(*reading, *settings) (Fields, error) {
	return func(_ *reading, s *settings) (Fields, error) {
		var patterns []any
		for _, filter := range s.list(strings.Split(list, ".")...) {
			patterns = append(patterns, filter.text(pattern))
		}
		return Fields{"filters": asText(patterns)}, nil
	}
}
