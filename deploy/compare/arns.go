package compare

import "github.com/zclconf/go-cty/cty"

// Placeholders for what only AWS knows.
const (
	partition = "${AWS::Partition}"
	region    = "${AWS::Region}"
	account   = "${AWS::AccountId}"
	bucket    = "${Bucket}"
	api       = "${Api}"
)

func arn(service, resource string) string {
	return "arn:" + partition + ":" + service + ":" + region + ":" + account + ":" + resource
}

func tableARN(name string) string   { return arn("dynamodb", "table/"+name) }
func streamARN(table string) string { return tableARN(table) + "/stream/${Label}" }
func bucketARN() string             { return "arn:" + partition + ":s3:::" + bucket }
func queueURL(name string) string {
	return "https://sqs." + region + ".${AWS::URLSuffix}/" + account + "/" + name
}
func functionARN(name string) string { return arn("lambda", "function:"+name) }
func layerARN(name string) string    { return arn("lambda", "layer:"+name+":${Version}") }
func groupARN(name string) string    { return arn("logs", "log-group:"+name) }
func ruleARN(name string) string     { return arn("events", "rule/"+name) }
func integration(uri string) string  { return "${Integration of " + uri + "}" }

// added returns what AWS adds to a Terraform resource, as far as others refer to
// it.
func added(at address, values map[string]cty.Value) map[string]string {
	named := text(values["name"])
	switch at.kind {
	case "data.aws_partition":
		return map[string]string{"partition": partition}
	case "data.aws_region":
		return map[string]string{"region": region}
	case "data.aws_caller_identity":
		return map[string]string{"account_id": account}
	case "aws_dynamodb_table":
		return map[string]string{"arn": tableARN(named), "stream_arn": streamARN(named), "id": named}
	case "aws_s3_bucket":
		return map[string]string{"arn": bucketARN(), "id": bucket, "bucket": bucket}
	case "aws_kinesis_stream":
		return map[string]string{"arn": arn("kinesis", "stream/"+named), "id": named}
	case "aws_sqs_queue":
		return map[string]string{"arn": arn("sqs", named), "url": queueURL(named), "id": queueURL(named)}
	case "aws_lambda_function":
		return map[string]string{"arn": functionARN(text(values["function_name"]))}
	case "aws_lambda_layer_version":
		return map[string]string{"arn": layerARN(text(values["layer_name"]))}
	case "aws_cloudwatch_log_group":
		return map[string]string{"arn": groupARN(named), "id": named}
	case "aws_iam_role":
		id := "role " + text(values["name_prefix"])
		return map[string]string{"arn": id, "id": id, "name": id}
	case "aws_cloudwatch_event_rule":
		return map[string]string{"arn": ruleARN(named), "id": named}
	case "aws_apigatewayv2_api":
		return map[string]string{"id": api, "execution_arn": arn("execute-api", api), "api_endpoint": "https://" + api}
	case "aws_apigatewayv2_integration":
		return map[string]string{"id": integration(text(values["integration_uri"]))}
	case "aws_apigatewayv2_authorizer":
		return map[string]string{"id": "${Authorizer " + named + "}"}
	}
	return nil
}

// attribute returns an attribute of a CloudFormation resource, or what a reference
// to it stands for if attribute is empty; ok is false if that is not known here.
func attribute(logicalID, kind, attribute string, properties *settings) (is string, ok bool) {
	named := properties.text("Name")
	known := map[string]string{}
	switch kind {
	case "AWS::DynamoDB::Table":
		table := properties.text("TableName")
		known = map[string]string{"": table, "Arn": tableARN(table), "StreamArn": streamARN(table)}
	case "AWS::S3::Bucket":
		known = map[string]string{"": bucket, "Arn": bucketARN()}
	case "AWS::Kinesis::Stream":
		known = map[string]string{"": named, "Arn": arn("kinesis", "stream/"+named)}
	case "AWS::SQS::Queue":
		queue := properties.text("QueueName")
		known = map[string]string{"": queueURL(queue), "Arn": arn("sqs", queue)}
	case "AWS::Lambda::Function":
		function := properties.text("FunctionName")
		known = map[string]string{"": function, "Arn": functionARN(function)}
	case "AWS::Lambda::LayerVersion":
		known = map[string]string{"": layerARN(properties.text("LayerName"))}
	case "AWS::Logs::LogGroup":
		group := properties.text("LogGroupName")
		known = map[string]string{"": group, "Arn": groupARN(group) + ":*"}
	case "AWS::IAM::Role":
		known = map[string]string{"": "role " + logicalID, "Arn": "role " + logicalID}
	case "AWS::Events::Rule":
		known = map[string]string{"": named, "Arn": ruleARN(named)}
	case "AWS::ApiGatewayV2::Api":
		known = map[string]string{"": api, "ApiEndpoint": "https://" + api}
	case "AWS::ApiGatewayV2::Integration":
		known = map[string]string{"": integration(properties.text("IntegrationUri"))}
	case "AWS::ApiGatewayV2::Authorizer":
		known = map[string]string{"": "${Authorizer " + named + "}"}
	}
	is, ok = known[attribute]
	return is, ok
}

// text is a value as text, "" if it has none.
func text(v cty.Value) string {
	if v == cty.NilVal || v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}
