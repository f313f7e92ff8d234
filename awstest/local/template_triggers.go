package local

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (t *template) mapping(_ string, properties []byte) error {
	var p struct {
		EventSourceArn, FunctionName, StartingPosition string
		BatchSize                                      int
		MaximumBatchingWindowInSeconds                 int
		MaximumRetryAttempts                           *int
		MaximumRecordAgeInSeconds                      *int
		ParallelizationFactor, TumblingWindowInSeconds int
		BisectBatchOnFunctionError                     bool
		Enabled                                        *bool
		FunctionResponseTypes                          []string
		FilterCriteria                                 struct{ Filters []struct{ Pattern string } }
		DestinationConfig                              struct{ OnFailure struct{ Destination string } }
		ScalingConfig                                  struct{ MaximumConcurrency int }
	}
	if err := json.Unmarshal(properties, &p); err != nil {
		return err
	}
	if p.ParallelizationFactor > 1 || p.TumblingWindowInSeconds > 0 {
		return fmt.Errorf("more than one batch of a shard at a time, and tumbling windows, are not played here")
	}
	if p.Enabled != nil && !*p.Enabled {
		return nil
	}
	m := Mapping{
		Source: p.EventSourceArn, Function: p.FunctionName[strings.LastIndex(p.FunctionName, ":")+1:], BatchSize: p.BatchSize,
		Window: time.Duration(p.MaximumBatchingWindowInSeconds) * time.Second, Position: p.StartingPosition, Bisect: p.BisectBatchOnFunctionError,
		Retries: -1, MaxAge: -1, PartialResponses: slices.Contains(p.FunctionResponseTypes, "ReportBatchItemFailures"),
		OnFailure: p.DestinationConfig.OnFailure.Destination, MaximumConcurrent: p.ScalingConfig.MaximumConcurrency,
	}
	if p.MaximumRetryAttempts != nil {
		m.Retries = *p.MaximumRetryAttempts
	}
	if p.MaximumRecordAgeInSeconds != nil && *p.MaximumRecordAgeInSeconds >= 0 {
		m.MaxAge = time.Duration(*p.MaximumRecordAgeInSeconds) * time.Second
	}
	if m.BatchSize == 0 {
		m.BatchSize = 100
		if strings.Contains(m.Source, ":sqs:") {
			m.BatchSize = 10
		}
	}
	for _, f := range p.FilterCriteria.Filters {
		m.Filters = append(m.Filters, f.Pattern)
	}
	t.stack.Mappings = append(t.stack.Mappings, m)
	return nil
}

func (t *template) route(_ string, properties []byte) error {
	var p struct{ RouteKey, Target string }
	if err := json.Unmarshal(properties, &p); err != nil {
		return err
	}
	name := strings.TrimPrefix(p.Target, "integrations/")
	if t.Resources[name].Type != "AWS::ApiGatewayV2::Integration" {
		return fmt.Errorf("its target %s is no integration", p.Target)
	}
	integration, err := t.properties(name)
	if err != nil {
		return err
	}
	var i struct{ IntegrationUri, PayloadFormatVersion string }
	if err := json.Unmarshal(integration, &i); err != nil {
		return err
	}
	if i.PayloadFormatVersion != "2.0" {
		return fmt.Errorf("the payload format %q is not played here", i.PayloadFormatVersion)
	}
	function := functionNamed(i.IntegrationUri)
	if err := t.permitted(function, "apigateway.amazonaws.com"); err != nil {
		return err
	}
	t.stack.Routes = append(t.stack.Routes, Route{Key: p.RouteKey, Function: function})
	return nil
}

// functionNamed finds the function's name in its ARN, which may be wrapped.
func functionNamed(arn string) string {
	_, name, _ := strings.Cut(arn, ":function:")
	name, _, _ = strings.Cut(name, "/")
	return name
}

// permitted checks that a service may invoke a function. Without that, AWS lets
// the stack be made, and nothing happens.
func (t *template) permitted(function, service string) error {
	for name, r := range t.Resources {
		if r.Type != "AWS::Lambda::Permission" {
			continue
		}
		var p struct{ Action, FunctionName, Principal string }
		properties, err := t.properties(name)
		if err == nil {
			err = json.Unmarshal(properties, &p)
		}
		if err != nil {
			return fmt.Errorf("the permission %s: %w", name, err)
		}
		named := p.FunctionName[strings.LastIndex(p.FunctionName, ":")+1:]
		if named == function && p.Principal == service && p.Action == "lambda:InvokeFunction" {
			return nil
		}
	}
	return fmt.Errorf("%s is not permitted to invoke the function %q", service, function)
}

func (t *template) rule(name string, properties []byte) error {
	var p struct {
		ScheduleExpression, State string
		Targets                   []struct{ Arn string }
	}
	if err := json.Unmarshal(properties, &p); err != nil {
		return err
	}
	if p.State == "DISABLED" || p.ScheduleExpression == "" {
		return nil
	}
	fields := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(p.ScheduleExpression, "rate("), ")"))
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	if len(fields) != 2 || units[strings.TrimSuffix(fields[1], "s")] == 0 {
		return fmt.Errorf("the schedule %s is not played here: only rates are", p.ScheduleExpression)
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		return fmt.Errorf("the schedule %s: %w", p.ScheduleExpression, err)
	}
	for _, target := range p.Targets {
		function := functionNamed(target.Arn)
		if err := t.permitted(function, "events.amazonaws.com"); err != nil {
			return err
		}
		t.stack.Schedules = append(t.stack.Schedules, Schedule{Name: t.physical(name), Every: time.Duration(n) * units[strings.TrimSuffix(fields[1], "s")], Function: function})
	}
	return nil
}
