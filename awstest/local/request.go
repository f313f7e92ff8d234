package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// serviceOf tells which service a request is signed for, such as dynamodb.
func serviceOf(r *http.Request) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	if parts := strings.Split(scope, "/"); len(parts) == 5 {
		return parts[3]
	}
	return ""
}

// needs returns what a request to a service asks for, as IAM names it.
func (s *Stack) needs(service string, r *http.Request, body []byte) ([]need, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch service {
	case "dynamodb":
		return s.needsOfDynamoDB(operation, body)
	case "kinesis":
		var in struct{ StreamName, StreamARN string }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fmt.Errorf("%s: %w", operation, err)
		}
		resource := in.StreamARN
		if in.StreamName != "" {
			resource = s.ARN("kinesis", "stream/"+in.StreamName)
		}
		return []need{{"kinesis:" + operation, resource}}, nil
	case "sqs":
		var in struct{ QueueUrl, QueueName string }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fmt.Errorf("%s: %w", operation, err)
		}
		name := in.QueueName
		if in.QueueUrl != "" {
			name = in.QueueUrl[strings.LastIndex(in.QueueUrl, "/")+1:]
		}
		// A batch is granted by the action of one.
		return []need{{"sqs:" + strings.TrimSuffix(operation, "Batch"), s.ARN("sqs", name)}}, nil
	case "s3":
		return needsOfS3(r)
	case "lambda":
		name, _, ok := functionOf(r.URL)
		if !ok {
			return nil, fmt.Errorf("%s %s is no Invoke", r.Method, r.URL.Path)
		}
		return []need{{"lambda:InvokeFunction", s.ARN("lambda", "function:"+name)}}, nil
	}
	return nil, fmt.Errorf("a request for the service %q, which is not played here", service)
}

type tableRequest struct {
	TableName, IndexName string
	StreamArn            string
	RequestItems         map[string]json.RawMessage
	TransactItems        []map[string]struct{ TableName string }
}

func (s *Stack) needsOfDynamoDB(operation string, body []byte) ([]need, error) {
	var in tableRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	table := func(name string) string {
		if strings.HasPrefix(name, "arn:") {
			return name
		}
		return s.ARN("dynamodb", "table/"+name)
	}
	var all []need
	for name := range in.RequestItems {
		all = append(all, need{"dynamodb:" + operation, table(name)})
	}
	// A transaction is granted by the actions that it is made of.
	kinds := map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "Get": "GetItem", "ConditionCheck": "ConditionCheckItem"}
	for _, item := range in.TransactItems {
		for kind, of := range item {
			all = append(all, need{"dynamodb:" + kinds[kind], table(of.TableName)})
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case in.StreamArn != "":
		return []need{{"dynamodb:" + operation, in.StreamArn}}, nil
	case in.IndexName != "":
		return []need{{"dynamodb:" + operation, table(in.TableName) + "/index/" + in.IndexName}}, nil
	case in.TableName != "":
		return []need{{"dynamodb:" + operation, table(in.TableName)}}, nil
	}
	return []need{{"dynamodb:" + operation, ""}}, nil
}

func needsOfS3(r *http.Request) ([]need, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	resource := "arn:aws:s3:::" + bucket
	query := r.URL.Query()
	if key == "" {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return nil, fmt.Errorf("%s of a bucket", r.Method)
		}
		return []need{{"s3:ListBucket", resource}}, nil
	}
	resource += "/" + key
	switch {
	case r.Method == http.MethodDelete && query.Has("uploadId"):
		return []need{{"s3:AbortMultipartUpload", resource}}, nil
	case r.Method == http.MethodDelete:
		return []need{{"s3:DeleteObject", resource}}, nil
	case r.Method == http.MethodPut, r.Method == http.MethodPost:
		all := []need{{"s3:PutObject", resource}}
		if source := r.Header.Get("X-Amz-Copy-Source"); source != "" {
			source, err := url.PathUnescape(strings.TrimPrefix(source, "/"))
			if err != nil {
				return nil, err
			}
			all = append(all, need{"s3:GetObject", "arn:aws:s3:::" + source})
		}
		return all, nil
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return []need{{"s3:GetObject", resource}}, nil
	}
	return nil, fmt.Errorf("%s of an object", r.Method)
}

// functionOf reads the path of an Invoke. The function may be told by its ARN.
func functionOf(u *url.URL) (name, qualifier string, ok bool) {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) != 4 || parts[0] != "2015-03-31" || parts[1] != "functions" || parts[3] != "invocations" {
		return "", "", false
	}
	name = parts[2]
	if fields := strings.Split(name, ":"); len(fields) >= 7 && slices.Contains(fields, "function") {
		name = fields[6]
	}
	return name, u.Query().Get("Qualifier"), true
}
