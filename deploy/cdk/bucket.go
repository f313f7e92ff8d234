package cdk

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
)

// The store's own places in the bucket. Bodies lie below pending until their
// commit is stored; what stays there belongs to none.
const (
	pending = "pending/"
	bodies  = "bodies/"
	pages   = "pages/"
	runs    = "runs/"
	dead    = "dead/"
)

func (a *Annals) makeBucket() {
	encryption := &awss3.CfnBucket_ServerSideEncryptionByDefaultProperty{SseAlgorithm: new("AES256")}
	if a.props.KeyArn != "" {
		encryption = &awss3.CfnBucket_ServerSideEncryptionByDefaultProperty{SseAlgorithm: new("aws:kms"), KmsMasterKeyId: &a.props.KeyArn}
	}
	rule := &awss3.CfnBucket_ServerSideEncryptionRuleProperty{ServerSideEncryptionByDefault: encryption}
	if a.props.KeyArn != "" {
		rule.BucketKeyEnabled = true
	}
	a.Bucket = named(awss3.NewCfnBucket(a.Construct, new("Bucket"), &awss3.CfnBucketProps{
		BucketEncryption: &awss3.CfnBucket_BucketEncryptionProperty{ServerSideEncryptionConfiguration: []any{rule}},
		PublicAccessBlockConfiguration: &awss3.CfnBucket_PublicAccessBlockConfigurationProperty{
			BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true,
		},
		OwnershipControls: &awss3.CfnBucket_OwnershipControlsProperty{
			Rules: []any{&awss3.CfnBucket_OwnershipControlsRuleProperty{ObjectOwnership: new("BucketOwnerEnforced")}},
		},
		LifecycleConfiguration: &awss3.CfnBucket_LifecycleConfigurationProperty{Rules: []any{
			// annals init knows this rule by its id.
			&awss3.CfnBucket_RuleProperty{
				Id: new("annals-" + a.props.Name + "-pending"), Status: new("Enabled"), Prefix: new(a.props.Name + "/" + pending),
				ExpirationInDays:            new(30.0),
				NoncurrentVersionExpiration: &awss3.CfnBucket_NoncurrentVersionExpirationProperty{NoncurrentDays: new(1.0)},
			},
			&awss3.CfnBucket_RuleProperty{
				Id: new("annals-" + a.props.Name + "-uploads"), Status: new("Enabled"),
				AbortIncompleteMultipartUpload: &awss3.CfnBucket_AbortIncompleteMultipartUploadProperty{DaysAfterInitiation: new(7.0)},
			},
		}},
	}))
	a.Bucket.ApplyRemovalPolicy(a.props.RemovalPolicy, nil)
	named(awss3.NewCfnBucketPolicy(a.Construct, new("BucketPolicy"), &awss3.CfnBucketPolicyProps{
		Bucket: a.Bucket.Ref(),
		PolicyDocument: map[string]any{
			"Version": "2012-10-17",
			"Statement": []any{map[string]any{
				"Sid": "OnlyOverTLS", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
				"Resource":  []any{a.Bucket.AttrArn(), a.objects("*")},
				"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
			}},
		},
	}))
}

// objects is the ARN of what lies at a place of the bucket.
func (a *Annals) objects(place string) *string {
	return awscdk.Fn_Sub(new("${Arn}/"+place), &map[string]*string{"Arn": a.Bucket.AttrArn()})
}
