package cdk

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
)

// a grant is one statement of a role's policy.
type grant struct {
	sid       string
	actions   []string
	resources []*string
}

func (g grant) statement() map[string]any {
	var actions, resources []any
	for _, action := range g.actions {
		actions = append(actions, action)
	}
	for _, resource := range g.resources {
		resources = append(resources, resource)
	}
	return map[string]any{"Sid": g.sid, "Effect": "Allow", "Action": actions, "Resource": resources}
}

// makeRole makes what a function acts as. All that it may do is in one policy.
func (a *Annals) makeRole(role Role, group awslogs.CfnLogGroup) awsiam.CfnRole {
	var statements []any
	for _, g := range a.grants(role, group) {
		statements = append(statements, g.statement())
	}
	return named(awsiam.NewCfnRole(a.Construct, new(role.title()+"Role"), &awsiam.CfnRoleProps{
		Description: new("Annals: what the function " + *a.name(string(role)) + " may do"),
		AssumeRolePolicyDocument: map[string]any{
			"Version": "2012-10-17",
			"Statement": []any{map[string]any{
				"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"Service": "lambda.amazonaws.com"},
			}},
		},
		Policies: []any{&awsiam.CfnRole_PolicyProperty{
			PolicyName:     new("annals-" + string(role)),
			PolicyDocument: map[string]any{"Version": "2012-10-17", "Statement": statements},
		}},
	}))
}

// grants lists what a role may do.
func (a *Annals) grants(role Role, group awslogs.CfnLogGroup) []grant {
	list := []grant{{"Logs", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, []*string{group.AttrArn()}}}
	switch role {
	case Load:
		list = append(list, grant{"PutToIngest", []string{"kinesis:PutRecords"}, []*string{a.IngestStream.AttrArn()}})
	case Track:
		list = append(list, grant{"TakeFromQueue", []string{"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}, []*string{a.Queue.AttrArn()}})
		list = append(list, a.sendDeadLetters())
		list = append(list, a.append()...)
		list = append(list, a.keepDeadLetters())
	case Pump:
		list = append(list, readStream("ReadIngest", a.IngestStream.AttrArn()), a.sendDeadLetters())
		list = append(list, a.append()...)
		list = append(list, a.keepDeadLetters())
	case Command:
		list = append(list, a.append()...)
	case Query:
		list = append(list, a.readLog()...)
		list = append(list, a.readViews())
	case Sequence:
		list = append(list, a.sequence()...)
	case Write:
		list = append(list, readTableStream("ReadLogStream", a.Log.AttrStreamArn()))
		if a.PlaybackStream != nil {
			list = append(list, readStream("ReadPlayback", a.PlaybackStream.AttrArn()))
		}
		list = append(list, a.readLog()...)
		list = append(list, a.readViews(), a.writeViews(), a.dropViews())
	case React:
		list = append(list, readTableStream("ReadLogStream", a.Log.AttrStreamArn()))
		list = append(list, a.readLog()...)
		list = append(list, a.readViews(), a.writeViews())
		list = append(list, a.appendToRead()...)
	case Playback:
		list = append(list, a.readLog()...)
		list = append(list, a.readViews(), a.writeViews(), a.dropViews())
		list = append(list, a.appendToRead()...)
		list = append(list,
			grant{"PutToPlayback", []string{"kinesis:PutRecords"}, []*string{a.PlaybackStream.AttrArn()}},
			grant{"GoOn", []string{"lambda:InvokeFunction"}, []*string{sub("arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:" + *a.name(string(role)))}})
	}
	if a.props.KeyArn != "" {
		list = append(list, grant{"UseKey", keyActions(role), []*string{&a.props.KeyArn}})
	}
	if a.Keys != nil {
		list = append(list, a.useSubjectKeys(role)...)
	}
	if a.props.Tracing {
		// AWS knows no resource for these.
		list = append(list, grant{"Trace", []string{"xray:PutTelemetryRecords", "xray:PutTraceSegments"}, []*string{new("*")}})
	}
	return list
}

// keyActions is what a role needs of the key of tables, bucket, streams and
// queues. DynamoDB uses it in the name of who calls.
func keyActions(role Role) []string {
	switch role {
	case Load:
		return []string{"kms:GenerateDataKey"}
	case Query:
		return []string{"kms:Decrypt", "kms:DescribeKey"}
	}
	return []string{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
}

// The uses of data subjects' keys.
const (
	noKeys = iota
	openOnly
	sealAndOpen
)

// subjectKeys is what a role does with the keys of data subjects.
func subjectKeys(role Role) int {
	switch role {
	case Track, Pump, Command, React:
		return sealAndOpen
	case Query, Write, Playback:
		return openOnly
	}
	return noKeys // load and sequence look into no event
}

func (a *Annals) useSubjectKeys(role Role) []grant {
	items, wrapping := []string{"dynamodb:GetItem"}, []string{"kms:Decrypt"}
	switch subjectKeys(role) {
	case noKeys:
		return nil
	case sealAndOpen:
		items, wrapping = append(items, "dynamodb:PutItem"), append(wrapping, "kms:GenerateDataKey")
	}
	return []grant{
		{"SubjectKeys", items, []*string{a.Keys.AttrArn()}},
		{"WrapSubjectKeys", wrapping, []*string{&a.props.SubjectKeyArn}},
	}
}

// append is what storing a commit takes.
func (a *Annals) append() []grant {
	return []grant{
		{"Append", []string{"dynamodb:PutItem", "dynamodb:Query"}, []*string{a.Events.AttrArn()}},
		{"ReadMark", []string{"dynamodb:GetItem"}, []*string{a.Log.AttrArn()}},
		{"KeepObjects", []string{"s3:GetObject", "s3:PutObject"}, a.places(bodies, pending)},
		a.tellMissing(),
	}
}

// appendToRead is what storing a commit takes beyond readLog.
func (a *Annals) appendToRead() []grant {
	return []grant{
		{"Append", []string{"dynamodb:PutItem"}, []*string{a.Events.AttrArn()}},
		{"KeepObjects", []string{"s3:PutObject"}, a.places(bodies, pending)},
	}
}

func (a *Annals) readLog() []grant {
	return []grant{
		{"ReadEvents", []string{"dynamodb:Query"}, []*string{a.Events.AttrArn()}},
		{"ReadLog", []string{"dynamodb:GetItem", "dynamodb:Query"}, []*string{a.Log.AttrArn()}},
		{"ReadObjects", []string{"s3:GetObject"}, a.places(bodies, pages, pending, runs)},
		a.tellMissing(),
	}
}

func (a *Annals) readViews() grant {
	return grant{"ReadViews", []string{"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}, []*string{a.Views.AttrArn()}}
}

func (a *Annals) writeViews() grant {
	return grant{"WriteViews", []string{"dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"}, []*string{a.Views.AttrArn()}}
}

// dropViews is what removing a generation of a view takes.
func (a *Annals) dropViews() grant {
	return grant{"DropViews", []string{"dynamodb:BatchWriteItem"}, []*string{a.Views.AttrArn()}}
}

// sequence is what numbering the log takes: bodies that their writer left among
// the pending ones are moved on, and pages whose run is sealed go away.
func (a *Annals) sequence() []grant {
	return []grant{
		readTableStream("ReadEventsStream", a.Events.AttrStreamArn()),
		{"ReadEvents", []string{"dynamodb:GetItem", "dynamodb:Query"}, []*string{a.Events.AttrArn()}},
		{"WriteLog", []string{"dynamodb:BatchWriteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}, []*string{a.Log.AttrArn()}},
		{"KeepObjects", []string{"s3:GetObject", "s3:PutObject"}, a.places(bodies, pages, runs)},
		{"ReadPending", []string{"s3:GetObject"}, a.places(pending)},
		{"DropPages", []string{"s3:DeleteObject"}, a.places(pages)},
		a.tellMissing(),
		a.sendDeadLetters(),
	}
}

func (a *Annals) sendDeadLetters() grant {
	return grant{"SendDeadLetters", []string{"sqs:SendMessage"}, []*string{a.DeadLetters.AttrArn()}}
}

// keepDeadLetters is for messages that the queue of dead letters can't hold. Whoever
// retries one reads it by rights of their own.
func (a *Annals) keepDeadLetters() grant {
	return grant{"KeepDeadLetters", []string{"s3:PutObject"}, a.places(dead)}
}

// tellMissing lets S3 say that an object is missing. Without it the answer is
// that access is denied, and a body that still lies among the pending ones would
// not be looked for there.
func (a *Annals) tellMissing() grant {
	return grant{"TellMissing", []string{"s3:ListBucket"}, []*string{a.Bucket.AttrArn()}}
}

func readStream(sid string, arn *string) grant {
	return grant{sid, []string{"kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"}, []*string{arn}}
}

func readTableStream(sid string, arn *string) grant {
	return grant{sid, []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}, []*string{arn}}
}

// places are the ARNs of the store's own objects at places.
func (a *Annals) places(places ...string) (arns []*string) {
	for _, place := range places {
		arns = append(arns, a.objects(a.props.Name+"/"+place+"*"))
	}
	return arns
}
