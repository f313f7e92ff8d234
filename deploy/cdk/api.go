package cdk

import (
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
)

// routes are those of the HTTP API by role; API Gateway itself answers 404 to
// everything else. The handler of each role serves the same and no more.
var routes = []struct {
	role Role
	keys []string
}{
	{Load, []string{"POST /v1/ingest"}},
	{Command, []string{"POST /v1/commands", "POST /v1/streams/{proxy+}"}},
	{Query, []string{"GET /", "GET /{proxy+}"}},
	{Write, []string{
		"POST /v1/projections", "POST /v1/projections/{proxy+}", "DELETE /v1/projections/{proxy+}",
		"POST /v1/consumers/{proxy+}", "PUT /v1/consumers/{proxy+}", "DELETE /v1/consumers/{proxy+}",
	}},
	{Playback, []string{"POST /v1/playbacks", "POST /v1/playbacks/{proxy+}"}},
}

// accessLog is one line of the access log. Its requestId is in the functions'
// logs too.
var accessLog = map[string]string{
	"requestId": "$context.requestId", "time": "$context.requestTime", "ip": "$context.identity.sourceIp",
	"method": "$context.httpMethod", "path": "$context.path", "routeKey": "$context.routeKey",
	"status": "$context.status", "responseLength": "$context.responseLength",
	"latency": "$context.responseLatency", "integrationError": "$context.integrationErrorMessage",
	"authorizerError": "$context.authorizer.error", "caller": "$context.identity.userArn",
}

func (a *Annals) makeAPI() {
	if !a.has(Load, Command, Query, Write, Playback) {
		return
	}
	a.API = named(awsapigatewayv2.NewCfnApi(a.Construct, new("Api"), &awsapigatewayv2.CfnApiProps{
		Name: &a.props.Name, ProtocolType: new("HTTP"), Description: new("Annals: the HTTP API"),
	}))
	a.makeStage()
	authorization, authorizer := a.makeAuthorizer()
	for _, r := range routes {
		if !a.has(r.role) {
			continue
		}
		integration := a.makeIntegration(r.role)
		for _, routeKey := range r.keys {
			props := &awsapigatewayv2.CfnRouteProps{
				ApiId: a.API.Ref(), RouteKey: &routeKey, Target: integration,
				AuthorizationType: &authorization, AuthorizerId: authorizer,
			}
			if len(a.props.Authorizer.Scopes) > 0 {
				props.AuthorizationScopes = texts(a.props.Authorizer.Scopes...)
			}
			named(awsapigatewayv2.NewCfnRoute(a.Construct, new("Route "+routeKey), props))
		}
	}
}

func (a *Annals) makeStage() {
	// Log groups of this prefix don't use up the size of the resource policy by
	// which API Gateway may write to them.
	group := a.logGroup("AccessLogs", "/aws/vendedlogs/"+*a.name("api"))
	format, err := json.Marshal(accessLog)
	if err != nil {
		panic(err) // a map of strings
	}
	named(awsapigatewayv2.NewCfnStage(a.Construct, new("Stage"), &awsapigatewayv2.CfnStageProps{
		ApiId: a.API.Ref(), StageName: new("$default"), AutoDeploy: true,
		AccessLogSettings: &awsapigatewayv2.CfnStage_AccessLogSettingsProperty{DestinationArn: group.AttrArn(), Format: new(string(format))},
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{
			ThrottlingRateLimit: &a.props.Throttling.Rate, ThrottlingBurstLimit: new(float64(a.props.Throttling.Burst)),
			DetailedMetricsEnabled: true,
		},
	}))
}

// makeAuthorizer returns the type of authorization of all routes, and the
// authorizer that it takes, if any.
func (a *Annals) makeAuthorizer() (kind string, authorizer any) {
	if !a.props.Authorizer.jwt() {
		return "AWS_IAM", nil
	}
	made := named(awsapigatewayv2.NewCfnAuthorizer(a.Construct, new("Authorizer"), &awsapigatewayv2.CfnAuthorizerProps{
		ApiId: a.API.Ref(), Name: &a.props.Name, AuthorizerType: new("JWT"), IdentitySource: texts("$request.header.Authorization"),
		JwtConfiguration: &awsapigatewayv2.CfnAuthorizer_JWTConfigurationProperty{
			Issuer: &a.props.Authorizer.Issuer, Audience: texts(a.props.Authorizer.Audience...),
		},
	}))
	return "JWT", made.Ref()
}

// makeIntegration lets the API invoke a role's function and returns what routes
// have as their target.
func (a *Annals) makeIntegration(role Role) *string {
	function := a.Functions[role]
	integration := named(awsapigatewayv2.NewCfnIntegration(a.Construct, new(role.title()+"Integration"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: a.API.Ref(), IntegrationType: new("AWS_PROXY"), IntegrationUri: function.AttrArn(), PayloadFormatVersion: new("2.0"),
	}))
	named(awslambda.NewCfnPermission(a.Construct, new(role.title()+"Permission"), &awslambda.CfnPermissionProps{
		Action: new("lambda:InvokeFunction"), FunctionName: function.Ref(), Principal: new("apigateway.amazonaws.com"),
		SourceArn: sub("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${" + *a.API.LogicalId() + "}/*/*"),
	}))
	return sub("integrations/${" + *integration.LogicalId() + "}")
}
