package cdk

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
)

// sizes are what each role's function gets, in seconds and MB.
var sizes = map[Role]struct{ timeout, memory float64 }{
	Load:     {10, 256},
	Track:    {60, 512},
	Pump:     {60, 512},
	Command:  {10, 512},
	Query:    {29, 512}, // API Gateway waits for 30 seconds at most
	Sequence: {60, 512},
	Write:    {300, 512},
	React:    {300, 512},
	Playback: {900, 512},
}

// purposes are the functions' descriptions.
var purposes = map[Role]string{
	Load:     "puts what is posted to /v1/ingest on the event stream",
	Track:    "stores the messages of the event queue",
	Pump:     "stores the records of the event stream",
	Command:  "appends to streams over HTTP",
	Query:    "reads streams, the log, traces and views over HTTP",
	Sequence: "gives stored events their positions",
	Write:    "folds the log into views",
	React:    "runs reactions and sagas",
	Playback: "plays a part of the log",
}

func (a *Annals) makeFunctions() error {
	zip := awss3assets.NewAsset(a.Construct, new("Zip"), &awss3assets.AssetProps{Path: &a.props.Zip})
	react := zip
	if a.props.ReactZip != "" {
		react = awss3assets.NewAsset(a.Construct, new("ReactZip"), &awss3assets.AssetProps{Path: &a.props.ReactZip})
	}
	layer, err := a.makeLayer()
	if err != nil {
		return err
	}
	for _, role := range a.props.Roles {
		code := zip
		if role == React {
			code = react
		}
		a.makeFunction(role, code, layer)
	}
	return nil
}

func (a *Annals) makeFunction(role Role, code awss3assets.Asset, layer awslambda.CfnLayerVersion) {
	name := *a.name(string(role))
	// Made here because one that Lambda makes keeps its events for ever.
	group := a.logGroup(role.title()+"Logs", "/aws/lambda/"+name)
	a.ActsAs[role] = a.makeRole(role, group)
	props := &awslambda.CfnFunctionProps{
		FunctionName:  &name,
		Description:   new("Annals: " + purposes[role]),
		Runtime:       new("provided.al2023"),
		Handler:       new("bootstrap"),
		Architectures: texts(a.props.Architecture),
		Code:          &awslambda.CfnFunction_CodeProperty{S3Bucket: code.S3BucketName(), S3Key: code.S3ObjectKey()},
		Role:          a.ActsAs[role].AttrArn(),
		Timeout:       new(sizes[role].timeout),
		MemorySize:    new(sizes[role].memory),
		Environment:   &awslambda.CfnFunction_EnvironmentProperty{Variables: a.environment(role)},
		LoggingConfig: &awslambda.CfnFunction_LoggingConfigProperty{LogGroup: group.Ref()},
	}
	if layer != nil && projects(role) {
		props.Layers = &[]any{layer.Ref()}
	}
	if role == Playback {
		// It goes on in a fresh invocation of itself as often as a long part of the
		// log takes, which Lambda would break off as a loop after 16 times.
		props.RecursiveLoop = new("Allow")
	}
	if a.props.Tracing {
		props.TracingConfig = &awslambda.CfnFunction_TracingConfigProperty{Mode: new("Active")}
	}
	a.Functions[role] = named(awslambda.NewCfnFunction(a.Construct, new(role.title()+"Function"), props))
}

// projects reports whether a role reads the files that define projections.
func projects(role Role) bool { return role == Write || role == Query || role == Playback }

// environment is how a function learns what it works on: see package lambda.
func (a *Annals) environment(role Role) *map[string]*string {
	env := map[string]*string{
		"ANNALS_ROLE":      new(string(role)),
		"ANNALS_METRICS":   &a.props.MetricsNamespace,
		"ANNALS_LOG_LEVEL": &a.props.LogLevel,
	}
	if role != Load {
		env["ANNALS_STORE"] = sub("dynamodb://" + a.props.Name + "?bucket=${" + *a.Bucket.LogicalId() + "}")
	}
	if a.Keys != nil && subjectKeys(role) != noKeys {
		env["ANNALS_KEYS"] = new(a.keysAddress(""))
	}
	if role == Load || role == Pump {
		env["ANNALS_INGEST_STREAM"] = a.name("ingest")
	}
	if role == Playback || role == Write {
		env["ANNALS_PLAYBACK_STREAM"] = a.name("playback")
	}
	if role == Track {
		env["ANNALS_QUEUE"] = a.name(queueSuffix)
	}
	if role == Track || role == Pump {
		env["ANNALS_DEAD_LETTERS"] = a.DeadLetters.Ref()
	}
	if a.props.Projections != "" && projects(role) {
		env["ANNALS_PROJECTIONS"] = new("/opt/projections")
	}
	if a.props.TracesEndpoint != "" {
		env["OTEL_EXPORTER_OTLP_ENDPOINT"] = &a.props.TracesEndpoint
	}
	return &env
}

func (a *Annals) logGroup(id, name string) awslogs.CfnLogGroup {
	return named(awslogs.NewCfnLogGroup(a.Construct, &id, &awslogs.CfnLogGroupProps{
		LogGroupName: &name, RetentionInDays: new(float64(a.props.LogRetentionDays)),
	}))
}

// makeLayer packs the files that define projections so that they lie in
// /opt/projections; it returns nil if there are none.
func (a *Annals) makeLayer() (awslambda.CfnLayerVersion, error) {
	if a.props.Projections == "" {
		return nil, nil
	}
	// The asset is copied when it is made.
	dir, err := os.MkdirTemp("", "annals-layer-")
	if err != nil {
		return nil, fmt.Errorf("a place for the layer of projections: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(filepath.Join(dir, "projections"), os.DirFS(a.props.Projections)); err != nil {
		return nil, fmt.Errorf("copying the projections of %s: %w", a.props.Projections, err)
	}
	asset := awss3assets.NewAsset(a.Construct, new("Projections"), &awss3assets.AssetProps{Path: &dir})
	return named(awslambda.NewCfnLayerVersion(a.Construct, new("ProjectionsLayer"), &awslambda.CfnLayerVersionProps{
		LayerName: a.name("projections"), Description: new("Annals: definitions of projections"),
		CompatibleArchitectures: texts(a.props.Architecture), CompatibleRuntimes: texts("provided.al2023"),
		Content: &awslambda.CfnLayerVersion_ContentProperty{S3Bucket: asset.S3BucketName(), S3Key: asset.S3ObjectKey()},
	})), nil
}
