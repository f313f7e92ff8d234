package cdk

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskinesis"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
)

// Annals is a store on AWS with the functions that serve it. Its fields are the
// resources that a stack may want to refer to; those that the chosen roles don't
// use are nil.
type Annals struct {
	constructs.Construct
	// Events holds commits, Log their order, Views what projections make.
	Events, Log, Views awsdynamodb.CfnTable
	// Keys holds those of data subjects.
	Keys   awsdynamodb.CfnTable
	Bucket awss3.CfnBucket
	// IngestStream is what load puts to; PlaybackStream what playback puts to.
	IngestStream, PlaybackStream awskinesis.CfnStream
	Queue, DeadLetters           awssqs.CfnQueue
	Functions                    map[Role]awslambda.CfnFunction
	// ActsAs are the roles of IAM that the functions have. What reactions of one's own
	// do on AWS, the one of React needs rights for.
	ActsAs map[Role]awsiam.CfnRole
	API    awsapigatewayv2.CfnApi

	props Props
}

// NewAnnals makes a store and its functions below scope. Its error names every
// field of props that is wrong; nothing is made then.
//
// The logical ids of its resources are the construct's path in its stack and
// their own name, as in AnnalsEventsTable, without a hash; they are part of what
// this package promises, as changing the id of a table would make a new one.
func NewAnnals(scope constructs.Construct, id string, props Props) (*Annals, error) {
	props = props.withDefaults()
	if err := props.validate(); err != nil {
		return nil, fmt.Errorf("the props of the construct %s are wrong:\n%w", id, err)
	}
	a := &Annals{
		Construct: constructs.NewConstruct(scope, &id), props: props,
		Functions: map[Role]awslambda.CfnFunction{}, ActsAs: map[Role]awsiam.CfnRole{},
	}
	a.makeTables()
	a.makeBucket()
	a.makeStreams()
	a.makeQueues()
	if err := a.makeFunctions(); err != nil {
		return nil, err
	}
	a.makeMappings()
	a.makeSchedule()
	a.makeAPI()
	a.makeAlarms()
	a.makeDashboard()
	a.makeOutputs()
	return a, nil
}

// has reports whether one of the roles is deployed.
func (a *Annals) has(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(a.props.Roles, r) })
}

// name is that of a resource.
func (a *Annals) name(suffix string) *string { return new(a.props.Name + "-" + suffix) }

// an element is what has a logical id in a template.
type element interface {
	Node() constructs.Node
	Stack() awscdk.Stack
	OverrideLogicalId(newLogicalId *string)
}

// named gives an element the logical id that NewAnnals promises.
func named[E element](e E) E {
	path, _ := strings.CutPrefix(*e.Node().Path(), *e.Stack().Node().Path()+"/")
	e.OverrideLogicalId(new(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, path)))
	return e
}

// title is a role as part of a logical id.
func (r Role) title() string { return strings.ToUpper(string(r[:1])) + string(r[1:]) }

// sub is text in which ${AWS::Region} and the like stand for themselves.
func sub(text string) *string { return awscdk.Fn_Sub(&text, nil) }

// texts makes of strings what constructs take.
func texts(list ...string) *[]*string {
	var out []*string
	for i := range list {
		out = append(out, &list[i])
	}
	return &out
}
