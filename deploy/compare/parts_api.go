package compare

import "strings"

var apiParts = []part{
	{
		what:     "api",
		template: side{kind: "AWS::ApiGatewayV2::Api", name: path("Name")},
		module:   side{kind: "aws_apigatewayv2_api", name: path("name")},
		rows: []row{
			{"description", "Description", "description", ""},
			{"protocol", "ProtocolType", "protocol_type", ""},
		},
	},
	{
		what:     "authorizer",
		template: side{kind: "AWS::ApiGatewayV2::Authorizer", name: path("Name")},
		module:   side{kind: "aws_apigatewayv2_authorizer", name: path("name")},
		rows: []row{
			{"api", "ApiId", "api_id", ""},
			{"type", "AuthorizerType", "authorizer_type", ""},
			{"identity", "IdentitySource", "identity_sources", ""},
			{"issuer", "JwtConfiguration.Issuer", "jwt_configuration.issuer", ""},
			{"audience", "JwtConfiguration.Audience", "jwt_configuration.audience", ""},
		},
	},
	{
		what:     "integration with",
		template: side{kind: "AWS::ApiGatewayV2::Integration", name: path("IntegrationUri")},
		module:   side{kind: "aws_apigatewayv2_integration", name: path("integration_uri")},
		rows: []row{
			{"api", "ApiId", "api_id", ""},
			{"type", "IntegrationType", "integration_type", ""},
			{"method", "IntegrationMethod", "integration_method", "POST"},
			{"payload", "PayloadFormatVersion", "payload_format_version", "1.0"},
			{"timeout milliseconds", "TimeoutInMillis", "timeout_milliseconds", "30000"},
		},
	},
	{
		what:     "route",
		template: side{kind: "AWS::ApiGatewayV2::Route", name: path("RouteKey")},
		module:   side{kind: "aws_apigatewayv2_route", name: path("route_key")},
		rows: []row{
			{"api", "ApiId", "api_id", ""},
			{"target", "Target", "target", ""},
			{"authorization", "AuthorizationType", "authorization_type", "NONE"},
			{"authorizer", "AuthorizerId", "authorizer_id", ""},
			{"scopes", "AuthorizationScopes", "authorization_scopes", ""},
		},
	},
	{
		what:     "stage",
		template: side{kind: "AWS::ApiGatewayV2::Stage", name: path("StageName"), more: accessLog("AccessLogSettings.DestinationArn")},
		module:   side{kind: "aws_apigatewayv2_stage", name: path("name"), more: accessLog("access_log_settings.destination_arn")},
		rows: []row{
			{"api", "ApiId", "api_id", ""},
			{"auto deploy", "AutoDeploy", "auto_deploy", "false"},
			{"calls a second", "DefaultRouteSettings.ThrottlingRateLimit", "default_route_settings.throttling_rate_limit", ""},
			{"calls at once", "DefaultRouteSettings.ThrottlingBurstLimit", "default_route_settings.throttling_burst_limit", ""},
			{"detailed metrics", "DefaultRouteSettings.DetailedMetricsEnabled", "default_route_settings.detailed_metrics_enabled", "false"},
			{"access log format", "AccessLogSettings.Format", "access_log_settings.format", ""},
		},
	},
}

// accessLog is the log group of a stage, which API Gateway takes with the :* that
// CloudFormation ends its ARN with, and without.
func accessLog(path string) func(*reading, *settings) (Fields, error) {
	return func(_ *reading, s *settings) (Fields, error) {
		return Fields{"access log": strings.TrimSuffix(s.text(strings.Split(path, ".")...), ":*")}, nil
	}
}
