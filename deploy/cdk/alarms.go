package cdk

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
)

// What an alarm waits for.
const (
	lateMilliseconds = 5 * 60 * 1000 // that a stream's records may wait for their function
	lateSeconds      = 10 * 60       // that a message may wait in the queue
)

// a measure is a metric of AWS.
type measure struct {
	namespace, name, statistic string
	dimension                  string
	of                         *string
}

func (a *Annals) makeAlarms() {
	if a.props.Alarms.Disabled {
		return
	}
	for _, role := range a.props.Roles {
		function := a.name(string(role))
		a.alarm(role.title()+"Errors", fmt.Sprintf("%s failed: its log says why", *function), 1, 5,
			measure{"AWS/Lambda", "Errors", "Sum", "FunctionName", function}, 0)
		a.alarm(role.title()+"Throttles", fmt.Sprintf("%s was not run: raise the account's or the function's concurrency", *function), 1, 5,
			measure{"AWS/Lambda", "Throttles", "Sum", "FunctionName", function}, 0)
		switch role {
		case Pump, Sequence, Write, React:
			a.alarm(role.title()+"Late", fmt.Sprintf("%s is more than 5 minutes behind its stream", *function), 5, 1,
				measure{"AWS/Lambda", "IteratorAge", "Maximum", "FunctionName", function}, lateMilliseconds)
		}
	}
	a.alarmsOfOwnMetrics()
	if a.DeadLetters != nil {
		a.alarm("DeadLetters", "messages could not be stored: annals dlq list says why", 1, 1,
			measure{"AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", "QueueName", a.name("dead-letters")}, 0)
	}
	if a.Queue != nil {
		a.alarm("QueueLate", "a message has waited for track for more than 10 minutes", 5, 1,
			measure{"AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", "QueueName", a.name(queueSuffix)}, lateSeconds)
	}
	for _, table := range []struct{ id, suffix string }{{"Events", "events"}, {"Log", "log"}, {"Views", "views"}} {
		a.throttled(table.id, a.name(table.suffix))
	}
}

// alarmsOfOwnMetrics watch what an invocation answers for without failing, since to
// try again at once would not mend it. Two stores with one namespace share them.
func (a *Annals) alarmsOfOwnMetrics() {
	for _, own := range []struct {
		role         Role
		metric, what string
	}{
		{Sequence, "Tampered", "somebody has changed or removed items of the events table: the log of %s names them"},
		{Write, "Stalled", "a projection can't go on: the log of %s says why"},
		{React, "Stalled", "a reaction or saga can't go on: the log of %s says why"},
	} {
		if a.has(own.role) {
			a.alarm(own.role.title()+own.metric, fmt.Sprintf(own.what, *a.name(string(own.role))), 1, 5,
				measure{a.props.MetricsNamespace, own.metric, "Sum", "role", new(string(own.role))}, 0)
		}
	}
}

// alarm makes an alarm that goes off when a measure is above a limit in each of
// some periods, whose length is in minutes. That nothing is measured means that
// nothing happened.
func (a *Annals) alarm(id, description string, periods, minutes float64, m measure, limit float64) {
	named(awscloudwatch.NewCfnAlarm(a.Construct, new(id+"Alarm"), a.told(&awscloudwatch.CfnAlarmProps{
		AlarmName: a.name(id), AlarmDescription: new("Annals: " + description),
		Namespace: &m.namespace, MetricName: &m.name, Statistic: &m.statistic,
		Dimensions: []any{&awscloudwatch.CfnAlarm_DimensionProperty{Name: &m.dimension, Value: m.of}},
		Period:     new(60 * minutes), EvaluationPeriods: &periods,
		ComparisonOperator: new("GreaterThanThreshold"), Threshold: &limit, TreatMissingData: new("notBreaching"),
	})))
}

// throttled makes the alarm of a table. Its reads and writes are throttled by
// measures of their own, of which there is none before the first time.
func (a *Annals) throttled(id string, table *string) {
	metric := func(query, name string) any {
		return &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
			Id: &query, ReturnData: false,
			MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{
				Stat: new("Sum"), Period: new(300.0),
				Metric: &awscloudwatch.CfnAlarm_MetricProperty{
					Namespace: new("AWS/DynamoDB"), MetricName: &name,
					Dimensions: []any{&awscloudwatch.CfnAlarm_DimensionProperty{Name: new("TableName"), Value: table}},
				},
			},
		}
	}
	named(awscloudwatch.NewCfnAlarm(a.Construct, new(id+"ThrottledAlarm"), a.told(&awscloudwatch.CfnAlarmProps{
		AlarmName:        a.name(id + "Throttled"),
		AlarmDescription: new("Annals: DynamoDB throttled requests to " + *table + ": look for one hot stream, or a limit of the table"),
		Metrics: []any{
			metric("reads", "ReadThrottleEvents"), metric("writes", "WriteThrottleEvents"),
			&awscloudwatch.CfnAlarm_MetricDataQueryProperty{Id: new("both"), Expression: new("SUM(METRICS())"), Label: new("throttled requests"), ReturnData: true},
		},
		EvaluationPeriods: new(1.0), ComparisonOperator: new("GreaterThanThreshold"), Threshold: new(0.0), TreatMissingData: new("notBreaching"),
	})))
}

// told adds who is told of an alarm.
func (a *Annals) told(props *awscloudwatch.CfnAlarmProps) *awscloudwatch.CfnAlarmProps {
	if a.props.Alarms.TopicArn != "" {
		props.AlarmActions = &[]any{a.props.Alarms.TopicArn}
		props.OkActions = &[]any{a.props.Alarms.TopicArn}
	}
	return props
}
