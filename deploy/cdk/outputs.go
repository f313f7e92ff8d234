package cdk

import "github.com/aws/aws-cdk-go/awscdk/v2"

// makeOutputs says what a client needs to know. Scripts find the outputs by their
// plain names; those of a construct whose id is not Annals have it before them.
func (a *Annals) makeOutputs() {
	a.output("StoreAddress", "what the annals command takes as its store", sub("dynamodb://"+a.props.Name+"?region=${AWS::Region}&bucket=${"+*a.Bucket.LogicalId()+"}"))
	if a.Keys != nil {
		a.output("KeysAddress", "what the annals command takes as its keys", sub(a.keysAddress("region=${AWS::Region}&")))
	}
	a.output("BucketName", "the bucket of large commits and sealed runs", a.Bucket.Ref())
	if a.API != nil {
		a.output("ApiUrl", "the HTTP API", a.API.AttrApiEndpoint())
	}
	if a.Queue != nil {
		a.output("QueueUrl", "the queue that track stores messages of", a.Queue.Ref())
	}
	if a.DeadLetters != nil {
		a.output("DeadLettersUrl", "the queue of what could not be stored", a.DeadLetters.Ref())
	}
	if a.IngestStream != nil {
		a.output("IngestStream", "the Kinesis stream that pump stores records of", a.IngestStream.Ref())
	}
	if a.PlaybackStream != nil {
		a.output("PlaybackStream", "the Kinesis stream that playback puts events on", a.PlaybackStream.Ref())
	}
	if role := a.ActsAs[React]; role != nil {
		a.output("ReactRole", "the role to add rights to that reactions of one's own need", role.Ref())
	}
}

// keysAddress is where the keys of data subjects are, with more parameters before its
// own.
func (a *Annals) keysAddress(more string) string {
	return "dynamodb://" + *a.name("keys") + "?" + more + "kms=" + a.props.SubjectKeyArn
}

func (a *Annals) output(name, description string, value *string) {
	out := awscdk.NewCfnOutput(a.Construct, new("Output"+name), &awscdk.CfnOutputProps{Description: &description, Value: value})
	if id := *a.Node().Id(); id != "Annals" {
		name = id + name
	}
	out.OverrideLogicalId(&name)
}
