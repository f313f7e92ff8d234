package cdk

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
)

// How much of a source one invocation gets.
const (
	batchSize = 1000
	// window is how many seconds a source gathers a batch where somebody pays for
	// each invocation and nobody waits for the answer.
	window = 1
	// wakeAge is after how many seconds a wake-up is dropped: it carries no truth,
	// and a later one does as well.
	wakeAge = 60 * 60
)

// newPage is the pattern of records that wake: the log table also holds runs,
// indexes and marks.
const newPage = `{"eventName":["INSERT"],"dynamodb":{"Keys":{"key":{"S":["log"]}}}}`

func (a *Annals) makeMappings() {
	if a.has(Track) {
		a.mapping(Track, "TrackQueue", &awslambda.CfnEventSourceMappingProps{
			EventSourceArn: a.Queue.AttrArn(), MaximumBatchingWindowInSeconds: new(1.0 * window),
		})
	}
	if a.has(Pump) {
		a.mapping(Pump, "PumpIngest", &awslambda.CfnEventSourceMappingProps{
			EventSourceArn: a.IngestStream.AttrArn(), StartingPosition: new("TRIM_HORIZON"),
			MaximumBatchingWindowInSeconds: new(1.0 * window), BisectBatchOnFunctionError: true,
			MaximumRetryAttempts: new(-1.0), MaximumRecordAgeInSeconds: new(a.props.MaxRecordAge.Seconds()),
			ParallelizationFactor: new(1.0), DestinationConfig: a.toDeadLetters(),
		})
	}
	// It gets every record, as one that is no insertion tells of somebody who has
	// changed or removed events.
	if a.has(Sequence) {
		a.mapping(Sequence, "SequenceEvents", &awslambda.CfnEventSourceMappingProps{
			EventSourceArn: a.Events.AttrStreamArn(), StartingPosition: new("TRIM_HORIZON"),
			MaximumBatchingWindowInSeconds: new(0.0), BisectBatchOnFunctionError: false,
			MaximumRetryAttempts: new(-1.0), MaximumRecordAgeInSeconds: new(-1.0),
			ParallelizationFactor: new(1.0), DestinationConfig: a.toDeadLetters(),
		})
	}
	// Two readers are as many as a shard of DynamoDB's streams serves well.
	for _, role := range []Role{Write, React} {
		if a.has(role) {
			a.mapping(role, role.title()+"Log", &awslambda.CfnEventSourceMappingProps{
				EventSourceArn: a.Log.AttrStreamArn(), StartingPosition: new("TRIM_HORIZON"),
				MaximumBatchingWindowInSeconds: new(0.0), BisectBatchOnFunctionError: false,
				MaximumRetryAttempts: new(-1.0), MaximumRecordAgeInSeconds: new(1.0 * wakeAge),
				ParallelizationFactor: new(1.0), FilterCriteria: filter(newPage),
			})
		}
	}
	if a.has(Write) && a.PlaybackStream != nil {
		a.mapping(Write, "WritePlayback", &awslambda.CfnEventSourceMappingProps{
			EventSourceArn: a.PlaybackStream.AttrArn(), StartingPosition: new("LATEST"),
			MaximumBatchingWindowInSeconds: new(1.0 * window), BisectBatchOnFunctionError: false,
			MaximumRetryAttempts: new(-1.0), MaximumRecordAgeInSeconds: new(1.0 * wakeAge),
			ParallelizationFactor: new(1.0),
		})
	}
}

func (a *Annals) mapping(role Role, id string, props *awslambda.CfnEventSourceMappingProps) {
	props.FunctionName = a.Functions[role].Ref()
	props.BatchSize = new(1.0 * batchSize)
	props.FunctionResponseTypes = texts("ReportBatchItemFailures")
	named(awslambda.NewCfnEventSourceMapping(a.Construct, new(id+"Mapping"), props))
}

func (a *Annals) toDeadLetters() any {
	return &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
		OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: a.DeadLetters.AttrArn()},
	}
}

func filter(pattern string) any {
	return &awslambda.CfnEventSourceMapping_FilterCriteriaProperty{
		Filters: []any{&awslambda.CfnEventSourceMapping_FilterProperty{Pattern: &pattern}},
	}
}

// makeSchedule makes the tick that wakes write and react where nothing else does:
// the timeouts of sagas fire, and what an invocation left unfinished goes on.
func (a *Annals) makeSchedule() {
	roles := slices.DeleteFunc([]Role{Write, React}, func(r Role) bool { return !a.has(r) })
	if len(roles) == 0 {
		return
	}
	var targets []any
	for _, role := range roles {
		targets = append(targets, &awsevents.CfnRule_TargetProperty{Id: new(string(role)), Arn: a.Functions[role].AttrArn()})
	}
	rule := named(awsevents.NewCfnRule(a.Construct, new("Tick"), &awsevents.CfnRuleProps{
		Name: a.name("tick"), Description: new("Annals: what was left unfinished goes on, and the timeouts of sagas fire"),
		ScheduleExpression: new("rate(1 minute)"), State: new("ENABLED"), Targets: targets,
	}))
	for _, role := range roles {
		named(awslambda.NewCfnPermission(a.Construct, new(role.title()+"TickPermission"), &awslambda.CfnPermissionProps{
			Action: new("lambda:InvokeFunction"), FunctionName: a.Functions[role].Ref(), Principal: new("events.amazonaws.com"), SourceArn: rule.AttrArn(),
		}))
	}
}
