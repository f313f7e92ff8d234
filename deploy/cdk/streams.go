package cdk

import "github.com/aws/aws-cdk-go/awscdk/v2/awskinesis"

func (a *Annals) makeStreams() {
	if a.has(Load, Pump) {
		a.IngestStream = a.stream("IngestStream", "ingest")
	}
	if a.has(Playback) {
		a.PlaybackStream = a.stream("PlaybackStream", "playback")
	}
}

func (a *Annals) stream(id, suffix string) awskinesis.CfnStream {
	encryption := &awskinesis.CfnStream_StreamEncryptionProperty{EncryptionType: new("KMS"), KeyId: new("alias/aws/kinesis")}
	if a.props.KeyArn != "" {
		encryption.KeyId = &a.props.KeyArn
	}
	props := &awskinesis.CfnStreamProps{
		Name:                 a.name(suffix),
		RetentionPeriodHours: new(float64(a.props.StreamRetentionHours)),
		StreamEncryption:     encryption,
		StreamModeDetails:    &awskinesis.CfnStream_StreamModeDetailsProperty{StreamMode: new("ON_DEMAND")},
	}
	if a.props.Shards > 0 {
		props.ShardCount = new(float64(a.props.Shards))
		props.StreamModeDetails = &awskinesis.CfnStream_StreamModeDetailsProperty{StreamMode: new("PROVISIONED")}
	}
	return named(awskinesis.NewCfnStream(a.Construct, &id, props))
}
