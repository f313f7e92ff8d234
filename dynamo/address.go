package dynamo

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/eb901187/annals"
)

// Scheme starts the address of a store of this package.
const Scheme = "dynamodb"

// An Address says where a store is.
type Address struct {
	// Name is what the tables' names start with: NAME-events, NAME-log, and
	// NAME-views for what package view/dynamoview keeps.
	Name string
	// Region is AWS's, for example eu-central-1; empty takes the environment's.
	Region string
	// Bucket holds large commits and sealed runs. Without one, a commit is
	// limited to what an item holds, and the log stays in its table.
	Bucket string
	// Endpoint and S3Endpoint are addresses of stand-ins for AWS.
	Endpoint, S3Endpoint string
}

// addressForm is what ParseAddress takes.
const addressForm = "dynamodb://NAME?region=…&bucket=…&endpoint=…&s3endpoint=…"

// tableName leaves room for the longest ending that a table gets.
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,200}$`)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ParseAddress reads dynamodb://NAME?region=…&bucket=…&endpoint=…&s3endpoint=….
// Errors are *annals.InvalidError.
func ParseAddress(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != Scheme || u.Path != "" || u.Fragment != "" || u.User != nil {
		return Address{}, annals.Invalid("store", "must be %s, without a user, a path or a fragment", addressForm)
	}
	if !tableName.MatchString(u.Host) {
		return Address{}, annals.Invalid("store", "must have a name of 3 to 200 letters, digits, - _ and . behind %s://", Scheme)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Address{}, annals.Invalid("store", "has parameters that can't be read: %v", err)
	}
	a := Address{Name: u.Host}
	fields := map[string]*string{"region": &a.Region, "bucket": &a.Bucket, "endpoint": &a.Endpoint, "s3endpoint": &a.S3Endpoint}
	for name, values := range query {
		field := fields[name]
		switch {
		case field == nil:
			return Address{}, annals.Invalid("store", "has an unknown parameter %q; it must be %s", name, addressForm)
		case len(values) != 1:
			return Address{}, annals.Invalid("store", "has the parameter %q twice", name)
		case values[0] == "":
			return Address{}, annals.Invalid("store", "has an empty parameter %q", name)
		}
		*field = values[0]
	}
	if a.Bucket != "" && !bucketName.MatchString(a.Bucket) {
		return Address{}, annals.Invalid("store", "has bucket=%s, which is no name of a bucket: 3 to 63 small letters, digits, dots and hyphens", a.Bucket)
	}
	for name, endpoint := range map[string]string{"endpoint": a.Endpoint, "s3endpoint": a.S3Endpoint} {
		if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https") {
			return Address{}, annals.Invalid("store", "has an %s that is not http://HOST or https://HOST, without a user", name)
		}
	}
	return a, nil
}

// String is the address as ParseAddress takes it.
func (a Address) String() string {
	s := Scheme + "://" + a.Name
	sep := "?"
	for _, p := range [][2]string{{"region", a.Region}, {"bucket", a.Bucket}, {"endpoint", a.Endpoint}, {"s3endpoint", a.S3Endpoint}} {
		if p[1] != "" {
			s += sep + p[0] + "=" + plainEscape(p[1])
			sep = "&"
		}
	}
	return s
}

// plainEscape leaves an endpoint readable.
func plainEscape(s string) string {
	if u, err := url.Parse(s); err == nil && u.RawQuery == "" && u.Fragment == "" && url.PathEscape(u.Host) == u.Host {
		return s
	}
	return url.QueryEscape(s)
}

func (a Address) where() string {
	if a.Endpoint != "" {
		return a.Endpoint
	}
	return "region " + a.Region
}

func (a Address) whereObjects() string {
	if a.S3Endpoint != "" {
		return a.S3Endpoint
	}
	return "region " + a.Region
}

// local reports whether both services are stand-ins on this machine, for which
// any credentials do.
func (a Address) local() bool {
	for _, endpoint := range []string{a.Endpoint, a.S3Endpoint} {
		u, err := url.Parse(endpoint)
		if endpoint == "" && a.Bucket == "" {
			continue
		}
		if err != nil || u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback() {
			return false
		}
	}
	return a.Endpoint != ""
}

// arn is what a policy names; the account is left open.
func (c *calls) arn(service, action, resource string) string {
	switch {
	case strings.HasPrefix(resource, "arn:"):
		return resource
	case service != "s3":
		return fmt.Sprintf("arn:aws:dynamodb:%s:*:table/%s", c.address.Region, resource)
	case strings.HasSuffix(action, "Object"):
		return "arn:aws:s3:::" + resource + "/" + c.address.Name + "/*"
	}
	return "arn:aws:s3:::" + resource
}
