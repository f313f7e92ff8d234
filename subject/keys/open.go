package keys

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

// Scheme starts the address of keys in DynamoDB.
const Scheme = "dynamodb"

const addressHint = "keys are in a directory, or in dynamodb://TABLE?region=REGION&kms=alias/NAME"

// An Address says where keys are: in Dir, or in Table, wrapped by Key of KMS.
type Address struct {
	Dir         string
	Table, Key  string // of KMS: id, ARN or alias
	Region      string // empty takes that of the environment
	Endpoint    string // of DynamoDB; empty takes AWS's own
	KMSEndpoint string // likewise
}

// ParseAddress reads a directory's path or dynamodb://TABLE?region=…&kms=…, where
// endpoint and kmsendpoint may name other servers. Error: one of CodeUsage.
func ParseAddress(text string) (Address, error) {
	bad := func(what string) (Address, error) {
		return Address{}, &annals.Error{Code: annals.CodeUsage, Message: what, Hint: addressHint}
	}
	scheme, _, isURL := strings.Cut(text, "://")
	switch {
	case text == "":
		return bad("the address of the keys is empty")
	case !isURL:
		return Address{Dir: text}, nil
	case !strings.EqualFold(scheme, Scheme):
		return bad("there is no place for keys of the kind " + scheme + "://")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.Fragment != "" {
		return bad("the address of the keys must be dynamodb://TABLE?…, not " + text)
	}
	a := Address{Table: u.Host}
	fields := map[string]*string{"region": &a.Region, "kms": &a.Key, "endpoint": &a.Endpoint, "kmsendpoint": &a.KMSEndpoint}
	for name, values := range u.Query() {
		field := fields[name]
		if field == nil || len(values) != 1 {
			return bad("the address of the keys has no parameter " + name + ", or has it twice")
		}
		*field = values[0]
	}
	if a.Key == "" {
		return bad("the address of the keys names no key of KMS: kms=alias/NAME")
	}
	return a, nil
}

// clients are those of AWS; loaded is nil for the configuration of the environment.
func (a *Address) clients(ctx context.Context, loaded *aws.Config) (*dynamodb.Client, *kms.Client, error) {
	if loaded == nil {
		c, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, nil, &annals.Error{Code: annals.CodeUnavailable, Err: err, Message: "the configuration of AWS can't be read", Hint: "check the files and variables of the AWS SDK"}
		}
		loaded = &c
	}
	c := loaded.Copy()
	c.Region = cmp.Or(a.Region, c.Region)
	endpoint := func(address string) *string {
		if address == "" {
			return nil
		}
		return &address
	}
	db := dynamodb.NewFromConfig(c, func(o *dynamodb.Options) { o.BaseEndpoint = cmp.Or(endpoint(a.Endpoint), o.BaseEndpoint) })
	return db, kms.NewFromConfig(c, func(o *kms.Options) { o.BaseEndpoint = cmp.Or(endpoint(a.KMSEndpoint), o.BaseEndpoint) }), nil
}

// Options changes how Open works; nil means the defaults.
type Options struct {
	// Config is that of AWS; the one of the environment by default.
	Config *aws.Config
	// Keyring is how the Keyring works.
	Keyring *subject.Options
}

// Open opens the keys at a. Errors: annals.ErrNotFound where Create has made none
// there; for a directory one of CodeForbidden where others may read its master key.
func Open(ctx context.Context, a Address, opts *Options) (*subject.Keyring, error) {
	if opts == nil {
		opts = &Options{}
	}
	if a.Dir != "" {
		shelf, err := Directory(vfs.Default, a.Dir)
		if err != nil {
			return nil, err
		}
		wrapper, err := masterOf(a.Dir)
		if err != nil {
			return nil, err
		}
		return subject.New(shelf, wrapper, opts.Keyring)
	}
	db, master, err := a.clients(ctx, opts.Config)
	if err != nil {
		return nil, err
	}
	return subject.New(Table(db, a.Table), KMS(master, a.Key), opts.Keyring)
}

// Create makes a place for keys at a: a directory with a master key, or a table. The
// key of KMS must be there. Errors: those of CreateDirectory and CreateTable.
func Create(ctx context.Context, a Address, opts *Options) error {
	if a.Dir != "" {
		return CreateDirectory(a.Dir)
	}
	if opts == nil {
		opts = &Options{}
	}
	db, _, err := a.clients(ctx, opts.Config)
	if err != nil {
		return err
	}
	return CreateTable(ctx, db, a.Table)
}
