package cdk

import (
	"encoding/json"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
)

// a line is a metric as a dashboard's body has it: namespace, name, dimension,
// value.
type line [4]string

// makeDashboard shows in rows of two what the alarms watch and what is paid for.
func (a *Annals) makeDashboard() {
	if a.props.NoDashboard {
		return
	}
	perRole := func(metric string, only ...Role) (lines []line) {
		for _, role := range a.props.Roles {
			if len(only) == 0 || slices.Contains(only, role) {
				lines = append(lines, line{"AWS/Lambda", metric, "FunctionName", *a.name(string(role))})
			}
		}
		return lines
	}
	perTable := func(metrics ...string) (lines []line) {
		for _, suffix := range []string{"events", "log", "views"} {
			for _, metric := range metrics {
				lines = append(lines, line{"AWS/DynamoDB", metric, "TableName", *a.name(suffix)})
			}
		}
		return lines
	}
	var queues, streams []line
	if a.Queue != nil {
		queues = append(queues, line{"AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", *a.name(queueSuffix)})
	}
	if a.DeadLetters != nil {
		queues = append(queues, line{"AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", *a.name("dead-letters")})
	}
	if a.IngestStream != nil {
		streams = append(streams, line{"AWS/Kinesis", "IncomingRecords", "StreamName", *a.name("ingest")})
	}
	if a.PlaybackStream != nil {
		streams = append(streams, line{"AWS/Kinesis", "IncomingRecords", "StreamName", *a.name("playback")})
	}
	var widgets []any
	graph := func(title, statistic string, lines []line) {
		if len(lines) == 0 {
			return
		}
		at := len(widgets)
		widgets = append(widgets, map[string]any{
			"type": "metric", "x": at % 2 * 12, "y": at / 2 * 6, "width": 12, "height": 6,
			"properties": map[string]any{
				"title": title, "stat": statistic, "period": 60, "view": "timeSeries", "region": "${AWS::Region}", "metrics": lines,
			},
		})
	}
	graph("Invocations", "Sum", perRole("Invocations"))
	graph("Errors", "Sum", perRole("Errors"))
	graph("Duration (ms, p99)", "p99", perRole("Duration"))
	graph("Behind the stream (ms)", "Maximum", perRole("IteratorAge", Pump, Sequence, Write, React))
	graph("Messages that wait", "Maximum", queues)
	graph("Records that came", "Sum", streams)
	graph("Units of the tables", "Sum", perTable("ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits"))
	graph("Throttled requests", "Sum", perTable("WriteThrottleEvents", "ReadThrottleEvents"))
	body, err := json.Marshal(map[string]any{"widgets": widgets})
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	named(awscloudwatch.NewCfnDashboard(a.Construct, new("Dashboard"), &awscloudwatch.CfnDashboardProps{
		DashboardName: &a.props.Name, DashboardBody: sub(string(body)),
	}))
}
