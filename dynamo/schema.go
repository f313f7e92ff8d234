package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go"

	"github.com/eb901187/annals"
)

// A Part is something that a store consists of.
type Part struct {
	Resource string // for example "table orders-events"
	Setting  string // what it is, or what is set on it
	Status   string // "made", "there" or "not offered here", by a stand-in for AWS; empty in a plan
}

// pendingDays is after how many days a body without a commit is swept: far more
// than an append takes, and than a sequencer may stand still unnoticed.
const pendingDays = 30

// Plan lists what Init makes.
func (a Address) Plan() []Part {
	events, log := "table "+a.Name+"-events", "table "+a.Name+"-log"
	parts := []Part{
		{Resource: events, Setting: "keys stream (S), version (N); on-demand; stream of new images; deletion protection"},
		{Resource: events, Setting: "point-in-time recovery"},
		{Resource: log, Setting: "keys key (S), at (N); on-demand; stream of keys; deletion protection"},
		{Resource: log, Setting: "point-in-time recovery"},
		{Resource: log, Setting: "time to live by " + attrUntil},
	}
	parts = append(parts, viewsParts(a.Name)...)
	if a.Bucket != "" {
		bucket := "bucket " + a.Bucket
		parts = append(parts,
			Part{Resource: bucket, Setting: "in the tables' region; encrypted"},
			Part{Resource: bucket, Setting: "no public access"},
			Part{Resource: bucket, Setting: fmt.Sprintf("lifecycle: %s/%s is removed after %d days, parts of uploads after 7", a.Name, pendingPrefix, pendingDays)})
	}
	return append(parts, Part{Resource: log, Setting: fmt.Sprintf("the mark of layout %d", layout)})
}

// Init makes the tables and the bucket of a store and the table of its views, and
// completes what is missing of them. It changes no events, so that it may run at any time and again. It
// tells done, if it is not nil, of each part.
func Init(ctx context.Context, address Address, opts *Options, done func(Part)) error {
	if opts == nil {
		opts = &Options{}
	}
	if done == nil {
		done = func(Part) {}
	}
	clients, err := connect(ctx, &address, opts)
	if err != nil {
		return err
	}
	m := maker{calls: newCalls(clients.db, clients.objects(), address, *opts), clients: clients, done: done, plan: address.Plan()}
	return m.run(operation(ctx, "init"))
}

type maker struct {
	calls   *calls
	clients *clients
	done    func(Part)
	plan    []Part
}

func (m *maker) run(ctx context.Context) error {
	// Before anything is made: the store may be there with another bucket.
	if _, err := m.calls.checkLayout(ctx); err != nil && annals.CodeOf(err) != annals.CodeNotFound {
		return err
	}
	steps := []func(context.Context) (bool, error){
		func(ctx context.Context) (bool, error) {
			return m.table(ctx, m.calls.eventsTable(), types.StreamViewTypeNewImage)
		},
		func(ctx context.Context) (bool, error) { return m.recovery(ctx, m.calls.eventsTable()) },
		func(ctx context.Context) (bool, error) {
			return m.table(ctx, m.calls.logTable(), types.StreamViewTypeKeysOnly)
		},
		func(ctx context.Context) (bool, error) { return m.recovery(ctx, m.calls.logTable()) },
		m.timeToLive,
	}
	steps = append(steps, m.viewsSteps()...)
	if m.clients.s3 != nil {
		steps = append(steps, m.bucket, m.closeBucket, m.lifecycle)
	}
	for i, step := range append(steps, m.calls.mark) {
		part := m.plan[i]
		made, err := step(ctx)
		switch {
		case errors.Is(err, errNotOffered):
			part.Status = "not offered here"
		case err != nil:
			return fmt.Errorf("%s: %w", part.Resource, err)
		case made:
			part.Status = "made"
		default:
			part.Status = "there"
		}
		m.done(part)
	}
	return nil
}

// table makes a table, or checks the one that is there. stream is what its stream
// holds; empty for none.
func (m *maker) table(ctx context.Context, t table, stream types.StreamViewType) (made bool, err error) {
	sort := types.ScalarAttributeTypeN
	if t.named {
		sort = types.ScalarAttributeTypeS
	}
	in := &dynamodb.CreateTableInput{
		TableName: &t.name, BillingMode: types.BillingModePayPerRequest, DeletionProtectionEnabled: aws.Bool(true),
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: &t.pk, AttributeType: types.ScalarAttributeTypeS}, {AttributeName: &t.sk, AttributeType: sort},
		},
		KeySchema: []types.KeySchemaElement{{AttributeName: &t.pk, KeyType: types.KeyTypeHash}, {AttributeName: &t.sk, KeyType: types.KeyTypeRange}},
	}
	if stream != "" {
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: stream}
	}
	_, err = m.clients.db.CreateTable(ctx, in)
	var there *types.ResourceInUseException
	if err != nil && !errors.As(err, &there) {
		return false, m.calls.failed(ctx, "CreateTable", t.name, err)
	}
	made = err == nil
	is, err := m.active(ctx, t, made)
	if err != nil {
		return false, err
	}
	return made, m.check(ctx, t, is, stream)
}

// active waits until a table is, and describes it. One that was just made may not
// be seen at once.
func (m *maker) active(ctx context.Context, t table, made bool) (*types.TableDescription, error) {
	for range 300 {
		out, err := m.clients.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &t.name})
		var notYet *types.ResourceNotFoundException
		if err != nil && !(made && errors.As(err, &notYet)) {
			return nil, m.calls.failed(ctx, "DescribeTable", t.name, err)
		}
		if err == nil && out.Table.TableStatus == types.TableStatusActive {
			return out.Table, nil
		}
		if err := m.calls.pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	return nil, &annals.Error{Code: annals.CodeTimeout, Message: "the table " + t.name + " did not become active in five minutes", Hint: "run the command again"}
}

// check refuses a table that is another's and completes one of ours.
func (m *maker) check(ctx context.Context, t table, is *types.TableDescription, stream types.StreamViewType) error {
	keys := map[string]types.KeyType{}
	for _, k := range is.KeySchema {
		keys[aws.ToString(k.AttributeName)] = k.KeyType
	}
	if len(keys) != 2 || keys[t.pk] != types.KeyTypeHash || keys[t.sk] != types.KeyTypeRange {
		return &annals.Error{Code: annals.CodeInvalid, Message: "the table " + t.name + " is there with other keys than a store's", Hint: "give the store another name"}
	}
	if !aws.ToBool(is.DeletionProtectionEnabled) {
		err := m.update(ctx, t, &dynamodb.UpdateTableInput{DeletionProtectionEnabled: aws.Bool(true)})
		if err != nil && !errors.Is(err, errNotOffered) {
			return err
		}
	}
	if spec := is.StreamSpecification; stream != "" && (spec == nil || !aws.ToBool(spec.StreamEnabled)) {
		return m.update(ctx, t, &dynamodb.UpdateTableInput{
			StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: stream},
		})
	} else if stream == types.StreamViewTypeNewImage && spec.StreamViewType != stream && spec.StreamViewType != types.StreamViewTypeNewAndOldImages {
		return &annals.Error{Code: annals.CodeInvalid, Message: "the stream of the table " + t.name + " holds no new images", Hint: "switch that stream off, and run annals init again"}
	}
	return nil
}

// update changes a table and waits until it is active again, as it takes no other
// change before.
func (m *maker) update(ctx context.Context, t table, in *dynamodb.UpdateTableInput) error {
	in.TableName = &t.name
	_, err := m.clients.db.UpdateTable(ctx, in)
	if err = m.offered(ctx, "UpdateTable", t.name, err); err != nil {
		return err
	}
	_, err = m.active(ctx, t, false)
	return err
}

// errNotOffered says that a stand-in for AWS does not know a request.
var errNotOffered = errors.New("dynamo: not offered")

// offered words an error; that a stand-in does not know a request is none.
func (m *maker) offered(ctx context.Context, action, resource string, err error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if errors.As(err, &api) && (m.clients.db.Options().BaseEndpoint != nil || m.clients.s3 != nil && m.clients.s3.Options().BaseEndpoint != nil) {
		switch api.ErrorCode() {
		case "UnknownOperationException", "UnknownOperation", "NotImplemented", "MethodNotAllowed", "UnsupportedOperation":
			return errNotOffered
		case "BucketAlreadyExists":
			// gofakes3 takes a setting of a bucket for making it.
			if action != "CreateBucket" {
				return errNotOffered
			}
		}
	}
	return m.calls.failed(ctx, action, resource, err)
}

// recovery switches point-in-time recovery on, which a table that was just made
// refuses for a moment.
func (m *maker) recovery(ctx context.Context, t table) (bool, error) {
	in := &dynamodb.UpdateContinuousBackupsInput{
		TableName: &t.name, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
	}
	for try := 0; ; try++ {
		_, err := m.clients.db.UpdateContinuousBackups(ctx, in)
		var soon *types.ContinuousBackupsUnavailableException
		if !errors.As(err, &soon) || try >= 60 {
			return true, m.offered(ctx, "UpdateContinuousBackups", t.name, err)
		}
		if err := m.calls.pause(ctx, time.Second); err != nil {
			return false, err
		}
	}
}

func (m *maker) timeToLive(ctx context.Context) (bool, error) {
	t := m.calls.logTable()
	out, err := m.clients.db.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &t.name})
	if err != nil {
		return false, m.offered(ctx, "DescribeTimeToLive", t.name, err)
	}
	if d := out.TimeToLiveDescription; d != nil && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
		return false, nil
	}
	_, err = m.clients.db.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &t.name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(attrUntil), Enabled: aws.Bool(true)},
	})
	return true, m.offered(ctx, "UpdateTimeToLive", t.name, err)
}

func (m *maker) bucket(ctx context.Context) (made bool, err error) {
	a := m.calls.address
	in := &s3.CreateBucketInput{Bucket: &a.Bucket}
	if a.Region != "us-east-1" {
		in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(a.Region)}
	}
	_, err = m.clients.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &a.Bucket})
	if err == nil {
		return false, nil
	}
	if !isMissing(err) {
		return false, m.calls.failed(ctx, "HeadBucket", a.Bucket, err)
	}
	_, err = m.clients.s3.CreateBucket(ctx, in)
	return true, m.offered(ctx, "CreateBucket", a.Bucket, err)
}

func (m *maker) closeBucket(ctx context.Context) (bool, error) {
	yes := aws.Bool(true)
	_, err := m.clients.s3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: &m.calls.address.Bucket,
		PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{
			BlockPublicAcls: yes, BlockPublicPolicy: yes, IgnorePublicAcls: yes, RestrictPublicBuckets: yes,
		},
	})
	return true, m.offered(ctx, "PutPublicAccessBlock", m.calls.address.Bucket, err)
}

// lifecycle adds the store's rule to those that the bucket has.
func (m *maker) lifecycle(ctx context.Context) (bool, error) {
	a := m.calls.address
	id := "annals-" + a.Name + "-pending"
	there, err := m.clients.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &a.Bucket})
	var api smithy.APIError
	if err != nil && !(errors.As(err, &api) && api.ErrorCode() == "NoSuchLifecycleConfiguration") {
		return false, m.offered(ctx, "GetLifecycleConfiguration", a.Bucket, err)
	}
	var rules []s3types.LifecycleRule
	if there != nil {
		rules = there.Rules
	}
	if slices.ContainsFunc(rules, func(r s3types.LifecycleRule) bool {
		return aws.ToString(r.ID) == id && r.Status == s3types.ExpirationStatusEnabled
	}) {
		return false, nil
	}
	_, err = m.clients.s3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &a.Bucket,
		LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{Rules: append(rules, s3types.LifecycleRule{
			ID: &id, Status: s3types.ExpirationStatusEnabled,
			Filter:                         &s3types.LifecycleRuleFilter{Prefix: aws.String(a.Name + "/" + pendingPrefix)},
			Expiration:                     &s3types.LifecycleExpiration{Days: aws.Int32(pendingDays)},
			NoncurrentVersionExpiration:    &s3types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)},
			AbortIncompleteMultipartUpload: &s3types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(7)},
		})},
	})
	return true, m.offered(ctx, "PutLifecycleConfiguration", a.Bucket, err)
}
