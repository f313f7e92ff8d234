package bench

import "github.com/eb901187/annals/dynamo"

// A ListPrice is what AWS asks for a number of units.
type ListPrice struct {
	Name    string  `json:"name"`
	Dollars float64 `json:"dollars"`
	Units   float64 `json:"units"` // that Dollars buys
	Unit    string  `json:"unit"`
}

// List prices of us-east-1, as of dynamo.PricesOf. Those of DynamoDB and S3
// requests are dynamo's. The others are as publications of 2023 to 2026 quote AWS,
// whose own pages load their figures by a script; they disagree on Kinesis on
// demand, and nothing confirmed the price of an alarm. Free tiers are left out, and
// so are discounts of large amounts but that of HTTP API requests.
var (
	writeUnit   = ListPrice{"DynamoDB write unit", dynamo.DollarsPerMWrites, 1e6, "request units of 1 KB"}
	readUnit    = ListPrice{"DynamoDB read unit", dynamo.DollarsPerMReads, 1e6, "request units of 4 KB"}
	tableGB     = ListPrice{"DynamoDB storage", 0.25, 1, "GB a month"}
	recoveryGB  = ListPrice{"DynamoDB point-in-time recovery", 0.20, 1, "GB a month"}
	s3Put       = ListPrice{"S3 PUT", dynamo.DollarsPerMPuts, 1e6, "requests"}
	s3Get       = ListPrice{"S3 GET", dynamo.DollarsPerMGets, 1e6, "requests"}
	s3GB        = ListPrice{"S3 storage", 0.023, 1, "GB a month"}
	invocation  = ListPrice{"Lambda request", 0.20, 1e6, "requests"}
	computing   = ListPrice{"Lambda on arm64", 13.3334, 1e6, "GB-seconds"}
	queueing    = ListPrice{"SQS request", 0.40, 1e6, "requests of up to 64 KB"}
	calling     = ListPrice{"HTTP API request", 1.00, 1e6, "requests of up to 512 KB"}
	callingMore = ListPrice{"HTTP API request above 300 million", 0.90, 1e6, "requests of up to 512 KB"}
	streamHour  = ListPrice{"Kinesis on demand", 0.04, 1, "stream-hours"}
	streamIn    = ListPrice{"Kinesis on demand, in", 0.08, 1, "GB in records rounded up to 1 KB"}
	streamOut   = ListPrice{"Kinesis on demand, out", 0.04, 1, "GB"}
	shardHour   = ListPrice{"Kinesis provisioned", 0.015, 1, "shard-hours"}
	payloadUnit = ListPrice{"Kinesis provisioned, in", 0.014, 1e6, "PUT payload units of 25 KB"}
	logGB       = ListPrice{"CloudWatch Logs, in", 0.50, 1, "GB"}
	metric      = ListPrice{"CloudWatch metric", 0.30, 1, "metrics a month"}
	alarm       = ListPrice{"CloudWatch alarm", 0.10, 1, "alarm metrics a month"}
	dashboard   = ListPrice{"CloudWatch dashboard", 3.00, 1, "dashboards a month"}
)

func listPrices() []ListPrice {
	return []ListPrice{
		writeUnit, readUnit, tableGB, recoveryGB, s3Put, s3Get, s3GB, invocation, computing, queueing, calling, callingMore,
		streamHour, streamIn, streamOut, shardHour, payloadUnit, logGB, metric, alarm, dashboard,
	}
}

// callsBeforeDiscount is the number of HTTP API requests in a month from which on
// each further one costs callingMore.
const callsBeforeDiscount = 300e6
