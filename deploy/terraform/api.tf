locals {
  # Routes by function. What is not here API Gateway answers with 404.
  routes = {
    load = ["POST /v1/ingest"]
    command = [
      "POST /v1/commands",
      "POST /v1/streams/{proxy+}",
    ]
    query = [
      "GET /",
      "GET /{proxy+}",
    ]
    write = [
      "POST /v1/projections",
      "POST /v1/projections/{proxy+}",
      "DELETE /v1/projections/{proxy+}",
      "POST /v1/consumers/{proxy+}",
      "PUT /v1/consumers/{proxy+}",
      "DELETE /v1/consumers/{proxy+}",
    ]
    playback = [
      "POST /v1/playbacks",
      "POST /v1/playbacks/{proxy+}",
    ]
  }

  serving = setintersection(local.roles, keys(local.routes))

  role_of_route = merge([
    for role in local.serving : { for route in local.routes[role] : route => role }
  ]...)
}

resource "aws_apigatewayv2_api" "annals" {
  count = length(local.serving) > 0 ? 1 : 0

  name          = var.name
  description   = "Annals: the HTTP API"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  count = var.authorizer == null || length(local.serving) == 0 ? 0 : 1

  api_id           = aws_apigatewayv2_api.annals[0].id
  name             = var.name
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.authorizer.issuer
    audience = var.authorizer.audience
  }
}

resource "aws_apigatewayv2_integration" "role" {
  for_each = local.serving

  api_id                 = aws_apigatewayv2_api.annals[0].id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.role[each.key].arn
  integration_method     = "POST"
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "route" {
  for_each = local.role_of_route

  api_id               = aws_apigatewayv2_api.annals[0].id
  route_key            = each.key
  target               = "integrations/${aws_apigatewayv2_integration.role[each.value].id}"
  authorization_type   = var.authorizer == null ? "AWS_IAM" : "JWT"
  authorizer_id        = one(aws_apigatewayv2_authorizer.jwt[*].id)
  authorization_scopes = var.authorizer == null ? null : var.authorizer.scopes
}

resource "aws_lambda_permission" "api" {
  for_each = local.serving

  statement_id  = "api"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.role[each.key].function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.annals[0].execution_arn}/*/*"
}

resource "aws_apigatewayv2_stage" "default" {
  count = length(local.serving) > 0 ? 1 : 0

  api_id      = aws_apigatewayv2_api.annals[0].id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit    = var.throttling.rate
    throttling_burst_limit   = var.throttling.burst
    detailed_metrics_enabled = true
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api[0].arn
    format = jsonencode({
      requestId        = "$context.requestId"
      time             = "$context.requestTime"
      ip               = "$context.identity.sourceIp"
      method           = "$context.httpMethod"
      path             = "$context.path"
      routeKey         = "$context.routeKey"
      status           = "$context.status"
      responseLength   = "$context.responseLength"
      latency          = "$context.responseLatency"
      integrationError = "$context.integrationErrorMessage"
      authorizerError  = "$context.authorizer.error"
      caller           = "$context.identity.userArn"
    })
  }
}

# Log groups of this prefix don't use up the size of the resource policy by which
# API Gateway may write to them.
resource "aws_cloudwatch_log_group" "api" {
  count = length(local.serving) > 0 ? 1 : 0

  name              = "/aws/vendedlogs/${var.name}-api"
  retention_in_days = var.log_retention_days
}
