package compare

import "strings"

// What CloudFormation has in one resource Terraform has in five. There is one
// bucket, whose name is AWS's to choose.
var bucketParts = []part{
	{
		what:     "bucket",
		template: side{kind: "AWS::S3::Bucket", name: nameless, more: templateBucket},
		module:   side{kind: "aws_s3_bucket", name: nameless, more: moduleBucket, left: []string{"bucket_prefix"}},
		rows: []row{
			{"name", "BucketName", "bucket", ""},
			{"block public ACLs", "PublicAccessBlockConfiguration.BlockPublicAcls", "", "false"},
			{"block public policy", "PublicAccessBlockConfiguration.BlockPublicPolicy", "", "false"},
			{"ignore public ACLs", "PublicAccessBlockConfiguration.IgnorePublicAcls", "", "false"},
			{"restrict public", "PublicAccessBlockConfiguration.RestrictPublicBuckets", "", "false"},
			{"ownership", "OwnershipControls.Rules.ObjectOwnership", "", ""},
			{"encryption", encryptionRule + "ServerSideEncryptionByDefault.SSEAlgorithm", "", ""},
			{"KMS key", encryptionRule + "ServerSideEncryptionByDefault.KMSMasterKeyID", "", ""},
			{"bucket key", encryptionRule + "BucketKeyEnabled", "", "false"},
		},
	},
	{
		what:   "bucket",
		module: side{kind: "aws_s3_bucket_public_access_block", name: nameless, left: []string{"bucket"}},
		rows: []row{
			{"block public ACLs", "", "block_public_acls", "false"},
			{"block public policy", "", "block_public_policy", "false"},
			{"ignore public ACLs", "", "ignore_public_acls", "false"},
			{"restrict public", "", "restrict_public_buckets", "false"},
		},
	},
	{
		what:   "bucket",
		module: side{kind: "aws_s3_bucket_ownership_controls", name: nameless, left: []string{"bucket"}},
		rows:   []row{{"ownership", "", "rule.object_ownership", ""}},
	},
	{
		what:   "bucket",
		module: side{kind: "aws_s3_bucket_server_side_encryption_configuration", name: nameless, left: []string{"bucket"}},
		rows: []row{
			{"encryption", "", "rule.apply_server_side_encryption_by_default.sse_algorithm", ""},
			{"KMS key", "", "rule.apply_server_side_encryption_by_default.kms_master_key_id", ""},
			{"bucket key", "", "rule.bucket_key_enabled", "false"},
		},
	},
	{
		what:   "bucket",
		module: side{kind: "aws_s3_bucket_lifecycle_configuration", name: nameless, more: moduleLifecycle, left: []string{"bucket"}},
	},
	{
		what: "bucket policy",
		template: side{kind: "AWS::S3::BucketPolicy", name: nameless, more: func(_ *reading, s *settings) (Fields, error) {
			return grantsOf(s.value("PolicyDocument"))
		}},
		module: side{kind: "aws_s3_bucket_policy", name: nameless, more: func(_ *reading, s *settings) (Fields, error) {
			return grantsOf(s.value("policy"))
		}},
		rows: []row{{"bucket", "Bucket", "bucket", ""}},
	},
}

const encryptionRule = "BucketEncryption.ServerSideEncryptionConfiguration."

func nameless(*reading, *settings) string { return "" }

// kept is the field for what becomes of objects when all is taken down.
const kept = "kept with its objects"

func templateBucket(_ *reading, s *settings) (Fields, error) {
	s.text("DeletionPolicy") // whatever it is, CloudFormation deletes no bucket with objects
	fields := Fields{kept: "true"}
	for _, rule := range s.list("LifecycleConfiguration", "Rules") {
		lifecycle(fields, rule, map[string]string{
			"Status": "status", "Prefix": "prefix", "ExpirationInDays": "expiration days",
			"NoncurrentVersionExpiration.NoncurrentDays":         "noncurrent days",
			"AbortIncompleteMultipartUpload.DaysAfterInitiation": "upload days",
		}, "Id")
	}
	return fields, nil
}

func moduleBucket(_ *reading, s *settings) (Fields, error) {
	if s.text("force_destroy") == "true" {
		return Fields{kept: "false"}, nil
	}
	return Fields{kept: "true"}, nil
}

func moduleLifecycle(_ *reading, s *settings) (Fields, error) {
	fields := Fields{}
	for _, rule := range s.list("rule") {
		lifecycle(fields, rule, map[string]string{
			"status": "status", "filter.prefix": "prefix", "expiration.days": "expiration days",
			"noncurrent_version_expiration.noncurrent_days":           "noncurrent days",
			"abort_incomplete_multipart_upload.days_after_initiation": "upload days",
		}, "id")
	}
	return fields, nil
}

// lifecycle adds what a rule says to fields.
func lifecycle(fields Fields, rule *settings, paths map[string]string, id string) {
	name := "lifecycle " + rule.text(id)
	for path, field := range paths {
		fields[name+", "+field] = rule.text(strings.Split(path, ".")...)
	}
}
