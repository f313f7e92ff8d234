package cdk

import "github.com/aws/aws-cdk-go/awscdk/v2/awssqs"

const (
	queueSuffix      = "event-queue"
	day              = 24 * 60 * 60
	maxReceives      = 5
	visibilityFactor = 6 // of track's timeout, as AWS advises for queues of functions
)

func (a *Annals) makeQueues() {
	if !a.has(Track, Pump, Sequence) {
		return
	}
	letters := a.queueProps("dead-letters", 14*day)
	if a.has(Track) {
		letters.RedriveAllowPolicy = map[string]any{
			"redrivePermission": "byQueue",
			"sourceQueueArns":   []any{sub("arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:" + *a.name(queueSuffix))},
		}
	}
	a.DeadLetters = named(awssqs.NewCfnQueue(a.Construct, new("DeadLetters"), letters))
	if !a.has(Track) {
		return
	}
	queue := a.queueProps(queueSuffix, 4*day)
	queue.VisibilityTimeout = new(visibilityFactor * sizes[Track].timeout)
	queue.RedrivePolicy = map[string]any{"deadLetterTargetArn": a.DeadLetters.AttrArn(), "maxReceiveCount": maxReceives}
	a.Queue = named(awssqs.NewCfnQueue(a.Construct, new("EventQueue"), queue))
}

func (a *Annals) queueProps(suffix string, retention float64) *awssqs.CfnQueueProps {
	props := &awssqs.CfnQueueProps{QueueName: a.name(suffix), MessageRetentionPeriod: &retention}
	if a.props.KeyArn != "" {
		props.KmsMasterKeyId = &a.props.KeyArn
	} else {
		props.SqsManagedSseEnabled = true
	}
	return props
}
