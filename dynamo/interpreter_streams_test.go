package dynamo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

func (i *interpreter) DescribeStream(ctx context.Context, in *dynamodbstreams.DescribeStreamInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error) {
	return interpret(ctx, &i.interpHooks, &i.mu, "DescribeStream", in, i.describeStream)
}

func (i *interpreter) GetShardIterator(ctx context.Context, in *dynamodbstreams.GetShardIteratorInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error) {
	return interpret(ctx, &i.interpHooks, &i.mu, "GetShardIterator", in, i.getShardIterator)
}

func (i *interpreter) GetRecords(ctx context.Context, in *dynamodbstreams.GetRecordsInput, _ ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	return interpret(ctx, &i.interpHooks, &i.mu, "GetRecords", in, i.getRecords)
}

func (i *interpreter) stream(arn *string) (*interpStream, error) {
	if s := i.streams[aws.ToString(arn)]; s != nil {
		return s, nil
	}
	return nil, &streamtypes.ResourceNotFoundException{Message: aws.String("Requested resource not found: Stream: " + aws.ToString(arn) + " not found")}
}

func (i *interpreter) shard(s *interpStream, id string) (*interpShard, error) {
	if shard := s.shard(id); shard != nil && !i.gone(shard) {
		return shard, nil
	}
	return nil, &streamtypes.ResourceNotFoundException{Message: aws.String("Requested resource not found: Shard: " + id + " not found")}
}

func trimmedError() error {
	return &streamtypes.TrimmedDataAccessException{Message: aws.String("The operation attempted to read past the oldest stream record in a shard")}
}

func (i *interpreter) describeStream(in *dynamodbstreams.DescribeStreamInput) (*dynamodbstreams.DescribeStreamOutput, error) {
	s, err := i.stream(in.StreamArn)
	if err != nil {
		return nil, err
	}
	limit := int(aws.ToInt32(in.Limit))
	if limit == 0 {
		limit = 100
	}
	if err := firstOf(unplayed(in.ShardFilter != nil, "ShardFilter"), unplayed(limit < 1 || limit > 100, "a limit outside 1 to 100")); err != nil {
		return nil, err
	}
	d := &streamtypes.StreamDescription{
		StreamArn: aws.String(s.arn), StreamLabel: aws.String(s.label), TableName: aws.String(s.table.name),
		StreamStatus: streamtypes.StreamStatusEnabled, StreamViewType: streamtypes.StreamViewTypeNewImage,
		CreationRequestDateTime: aws.Time(s.made),
		KeySchema: []streamtypes.KeySchemaElement{
			{AttributeName: aws.String(s.table.pk), KeyType: streamtypes.KeyTypeHash},
			{AttributeName: aws.String(s.table.sk), KeyType: streamtypes.KeyTypeRange},
		},
	}
	start := aws.ToString(in.ExclusiveStartShardId)
	for _, shard := range s.shards {
		// Ids grow, so that a start that is gone by now still says where to go on.
		if shard.id <= start || i.gone(shard) {
			continue
		}
		if len(d.Shards) == limit {
			d.LastEvaluatedShardId = d.Shards[limit-1].ShardId
			break
		}
		d.Shards = append(d.Shards, shard.describe())
	}
	return &dynamodbstreams.DescribeStreamOutput{StreamDescription: d}, nil
}

func (shard *interpShard) describe() streamtypes.Shard {
	d := streamtypes.Shard{
		ShardId:             aws.String(shard.id),
		SequenceNumberRange: &streamtypes.SequenceNumberRange{StartingSequenceNumber: aws.String(sequenceNumber(shard.starting))},
	}
	if shard.parent != "" {
		d.ParentShardId = aws.String(shard.parent)
	}
	if shard.ending != 0 {
		d.SequenceNumberRange.EndingSequenceNumber = aws.String(sequenceNumber(shard.ending))
	}
	return d
}

func (i *interpreter) getShardIterator(in *dynamodbstreams.GetShardIteratorInput) (*dynamodbstreams.GetShardIteratorOutput, error) {
	s, err := i.stream(in.StreamArn)
	if err != nil {
		return nil, err
	}
	shard, err := i.shard(s, aws.ToString(in.ShardId))
	if err != nil {
		return nil, err
	}
	next, err := i.position(shard, in)
	if err != nil {
		return nil, err
	}
	return &dynamodbstreams.GetShardIteratorOutput{ShardIterator: s.iterator(shard, next)}, nil
}

// position is the number of the first record that an iterator may return.
func (i *interpreter) position(shard *interpShard, in *dynamodbstreams.GetShardIteratorInput) (int, error) {
	kind := in.ShardIteratorType
	switch kind {
	case streamtypes.ShardIteratorTypeTrimHorizon:
		return max(shard.starting, i.trimmed), nil
	case streamtypes.ShardIteratorTypeLatest:
		return i.sequence + 1, nil
	case streamtypes.ShardIteratorTypeAtSequenceNumber, streamtypes.ShardIteratorTypeAfterSequenceNumber:
	default:
		return 0, invalidCall("the interpreter does not play the iterator type %q", kind)
	}
	n, err := parseSequenceNumber(aws.ToString(in.SequenceNumber))
	if err != nil {
		return 0, err
	}
	if n < shard.starting || shard.ending != 0 && n > shard.ending {
		return 0, invalidCall("Invalid SequenceNumber in ShardIterator request: %d is not of the shard", n)
	}
	if n < i.trimmed {
		return 0, trimmedError()
	}
	if kind == streamtypes.ShardIteratorTypeAfterSequenceNumber {
		n++
	}
	return n, nil
}

func (s *interpStream) iterator(shard *interpShard, next int) *string {
	return aws.String(strings.Join([]string{s.arn, shard.id, strconv.Itoa(next)}, "|"))
}

// parseIterator reads what iterator wrote.
func (i *interpreter) parseIterator(iterator *string) (*interpStream, *interpShard, int, error) {
	parts := strings.Split(aws.ToString(iterator), "|")
	if len(parts) != 3 {
		return nil, nil, 0, invalidCall("Invalid ShardIterator")
	}
	s, err := i.stream(&parts[0])
	if err != nil {
		return nil, nil, 0, err
	}
	shard, err := i.shard(s, parts[1])
	if err != nil {
		return nil, nil, 0, err
	}
	next, err := strconv.Atoi(parts[2])
	if err != nil {
		return nil, nil, 0, invalidCall("Invalid ShardIterator")
	}
	return s, shard, next, nil
}

func (i *interpreter) getRecords(in *dynamodbstreams.GetRecordsInput) (*dynamodbstreams.GetRecordsOutput, error) {
	limit := int(aws.ToInt32(in.Limit))
	if in.Limit == nil {
		limit = 1000
	}
	if limit < 1 || limit > 1000 {
		return nil, invalidCall("Value at 'limit' failed to satisfy constraint: Member must be between 1 and 1000")
	}
	s, shard, next, err := i.parseIterator(in.ShardIterator)
	if err != nil {
		return nil, err
	}
	if next <= shard.dropped {
		return nil, trimmedError()
	}
	out, size := &dynamodbstreams.GetRecordsOutput{Records: []streamtypes.Record{}}, 0
	at := slices.IndexFunc(shard.records, func(r interpRecord) bool { return r.number >= next })
	for at >= 0 && at < len(shard.records) && len(out.Records) < limit && size < i.pageBytes {
		r := shard.records[at]
		out.Records = append(out.Records, r.record())
		size += r.size
		next = r.number + 1
		at++
	}
	if shard.ending == 0 || at >= 0 && at < len(shard.records) {
		out.NextShardIterator = s.iterator(shard, next)
	}
	return out, nil
}

func (r interpRecord) record() streamtypes.Record {
	d := &streamtypes.StreamRecord{
		ApproximateCreationDateTime: aws.Time(r.at),
		Keys:                        streamItem(r.keys),
		SequenceNumber:              aws.String(sequenceNumber(r.number)),
		SizeBytes:                   aws.Int64(int64(r.size)),
		StreamViewType:              streamtypes.StreamViewTypeNewImage,
	}
	if r.image != nil {
		d.NewImage = streamItem(r.image)
	}
	return streamtypes.Record{
		EventID: aws.String(fmt.Sprintf("%032x", r.number)), EventName: r.name, EventVersion: aws.String("1.1"),
		EventSource: aws.String("aws:dynamodb"), AwsRegion: aws.String("us-east-1"), Dynamodb: d,
	}
}

// streamItem is an item as the other service's package has it.
func streamItem(item interpItem) map[string]streamtypes.AttributeValue {
	out := make(map[string]streamtypes.AttributeValue, len(item))
	for name, v := range item {
		out[name] = streamValue(v)
	}
	return out
}

func streamValue(v types.AttributeValue) streamtypes.AttributeValue {
	switch v := v.(type) {
	case *types.AttributeValueMemberN:
		return &streamtypes.AttributeValueMemberN{Value: v.Value}
	case *types.AttributeValueMemberS:
		return &streamtypes.AttributeValueMemberS{Value: v.Value}
	case *types.AttributeValueMemberB:
		return &streamtypes.AttributeValueMemberB{Value: slices.Clone(v.Value)}
	case *types.AttributeValueMemberBOOL:
		return &streamtypes.AttributeValueMemberBOOL{Value: v.Value}
	case *types.AttributeValueMemberNULL:
		return &streamtypes.AttributeValueMemberNULL{Value: v.Value}
	case *types.AttributeValueMemberL:
		out := make([]streamtypes.AttributeValue, len(v.Value))
		for k, element := range v.Value {
			out[k] = streamValue(element)
		}
		return &streamtypes.AttributeValueMemberL{Value: out}
	case *types.AttributeValueMemberM:
		return &streamtypes.AttributeValueMemberM{Value: streamItem(v.Value)}
	}
	return nil // checkInValue lets no other type in
}
