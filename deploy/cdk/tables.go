package cdk

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
)

// makeTables makes what annals init makes of them; package dynamo tests that
// both are the same.
func (a *Annals) makeTables() {
	a.Events = a.table("Events", "events", key{"stream", "S"}, key{"version", "N"}, "NEW_IMAGE", recovered)
	// The keys of new items are enough to wake who reads the log.
	a.Log = a.table("Log", "log", key{"key", "S"}, key{"at", "N"}, "KEYS_ONLY", recovered)
	a.Log.SetTimeToLiveSpecification(&awsdynamodb.CfnTable_TimeToLiveSpecificationProperty{AttributeName: new("until"), Enabled: true})
	a.Views = a.table("Views", "views", key{"space", "S"}, key{"key", "S"}, "", recovered)
	if a.props.SubjectKeyArn != "" {
		// A key that could be recovered would not be erased.
		a.Keys = a.table("Keys", "keys", key{"subject", "S"}, key{}, "", !recovered)
	}
}

// recovered is a table that can be restored as it was in the last 35 days.
const recovered = true

// a key is one attribute of a table's primary key.
type key struct{ name, kind string }

// table makes one; a sort key without a name is none, and so is a stream without a view.
func (a *Annals) table(id, suffix string, hash, sort key, stream string, recovered bool) awsdynamodb.CfnTable {
	attributes := []any{&awsdynamodb.CfnTable_AttributeDefinitionProperty{AttributeName: &hash.name, AttributeType: &hash.kind}}
	schema := []any{&awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: &hash.name, KeyType: new("HASH")}}
	if sort.name != "" {
		attributes = append(attributes, &awsdynamodb.CfnTable_AttributeDefinitionProperty{AttributeName: &sort.name, AttributeType: &sort.kind})
		schema = append(schema, &awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: &sort.name, KeyType: new("RANGE")})
	}
	props := &awsdynamodb.CfnTableProps{
		TableName:                        a.name(suffix),
		BillingMode:                      new("PAY_PER_REQUEST"),
		AttributeDefinitions:             attributes,
		KeySchema:                        schema,
		DeletionProtectionEnabled:        a.props.RemovalPolicy == awscdk.RemovalPolicy_RETAIN,
		PointInTimeRecoverySpecification: &awsdynamodb.CfnTable_PointInTimeRecoverySpecificationProperty{PointInTimeRecoveryEnabled: recovered},
	}
	if stream != "" {
		props.StreamSpecification = &awsdynamodb.CfnTable_StreamSpecificationProperty{StreamViewType: &stream}
	}
	encryption := &awsdynamodb.CfnTable_SSESpecificationProperty{SseEnabled: true, SseType: new("KMS")}
	if a.props.KeyArn != "" {
		encryption.KmsMasterKeyId = &a.props.KeyArn
	}
	props.SseSpecification = encryption
	t := named(awsdynamodb.NewCfnTable(a.Construct, new(id+"Table"), props))
	t.ApplyRemovalPolicy(a.props.RemovalPolicy, nil)
	return t
}
