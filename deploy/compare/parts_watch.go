package compare

import (
	"encoding/json"
	"fmt"
)

// What tells people how it goes.
var watchParts = []part{
	{
		what:     "alarm",
		template: side{kind: "AWS::CloudWatch::Alarm", name: path("AlarmName"), more: templateMetrics},
		module:   side{kind: "aws_cloudwatch_metric_alarm", name: path("alarm_name"), more: moduleMetrics},
		rows: []row{
			{"description", "AlarmDescription", "alarm_description", ""},
			{"namespace", "Namespace", "namespace", ""},
			{"metric", "MetricName", "metric_name", ""},
			{"statistic", "Statistic", "statistic", ""},
			{"period", "Period", "period", ""},
			{"periods", "EvaluationPeriods", "evaluation_periods", ""},
			{"datapoints", "DatapointsToAlarm", "datapoints_to_alarm", ""},
			{"comparison", "ComparisonOperator", "comparison_operator", ""},
			{"threshold", "Threshold", "threshold", ""},
			{"missing data", "TreatMissingData", "treat_missing_data", "missing"},
			{"on", "ActionsEnabled", "actions_enabled", "true"},
			{"tells of alarm", "AlarmActions", "alarm_actions", ""},
			{"tells of calm", "OKActions", "ok_actions", ""},
		},
	},
	{
		what: "dashboard",
		template: side{kind: "AWS::CloudWatch::Dashboard", name: path("DashboardName"), more: func(_ *reading, s *settings) (Fields, error) {
			return graphs(s.text("DashboardBody"))
		}},
		module: side{kind: "aws_cloudwatch_dashboard", name: path("dashboard_name"), more: func(_ *reading, s *settings) (Fields, error) {
			return graphs(s.text("dashboard_body"))
		}},
	},
}

func templateMetrics(_ *reading, s *settings) (Fields, error) {
	fields := Fields{}
	for _, d := range s.list("Dimensions") {
		fields["dimension "+d.text("Name")] = d.text("Value")
	}
	for _, query := range s.list("Metrics") {
		name := "query " + query.text("Id") + ", "
		fields[name+"expression"] = query.text("Expression")
		fields[name+"label"] = query.text("Label")
		fields[name+"shown"] = query.text("ReturnData")
		fields[name+"statistic"] = query.text("MetricStat", "Stat")
		fields[name+"period"] = query.text("MetricStat", "Period")
		fields[name+"namespace"] = query.text("MetricStat", "Metric", "Namespace")
		fields[name+"metric"] = query.text("MetricStat", "Metric", "MetricName")
		for _, d := range query.list("MetricStat", "Metric", "Dimensions") {
			fields[name+"dimension "+d.text("Name")] = d.text("Value")
		}
	}
	return fields, nil
}

func moduleMetrics(_ *reading, s *settings) (Fields, error) {
	fields := dimensions("dimension ", s.value("dimensions"))
	for _, query := range s.list("metric_query") {
		name := "query " + query.text("id") + ", "
		for field, value := range dimensions(name+"dimension ", query.value("metric", "dimensions")) {
			fields[field] = value
		}
		fields[name+"expression"] = query.text("expression")
		fields[name+"label"] = query.text("label")
		fields[name+"shown"] = query.text("return_data")
		fields[name+"statistic"] = query.text("metric", "stat")
		fields[name+"period"] = query.text("metric", "period")
		fields[name+"namespace"] = query.text("metric", "namespace")
		fields[name+"metric"] = query.text("metric", "metric_name")
	}
	return fields, nil
}

func dimensions(prefix string, v any) Fields {
	fields := Fields{}
	object, _ := v.(map[string]any)
	for name, value := range object {
		fields[prefix+name] = asText(value)
	}
	return fields
}

// graphs are the widgets of a dashboard's body by their titles.
func graphs(body string) (Fields, error) {
	var dashboard struct {
		Widgets []struct {
			Properties map[string]any
			Type       string
			X, Y       int
			Width      int
			Height     int
		}
	}
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
		return nil, fmt.Errorf("the dashboard's body is no JSON of widgets: %w", err)
	}
	fields := Fields{}
	for _, w := range dashboard.Widgets {
		fields["graph "+asText(w.Properties["title"])] = fmt.Sprintf("%s at %d, %d of %d × %d: %s", w.Type, w.X, w.Y, w.Width, w.Height, asText(w.Properties))
	}
	return fields, nil
}
