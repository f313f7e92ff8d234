package bench

import (
	"fmt"
	"math"
)

// A part of a deployment, and what it uses under a load.
type part struct {
	name, does string
	use        func(*load)
}

// A sum is what parts cost together.
type sum struct {
	name, does string
	of         []string // names of parts
}

var parts = []part{
	{"sqs", "SQS and track: a message of SQS becomes an event", (*load).bySQS},
	{"kinesis", "HTTP API, load, Kinesis on demand and pump: a request becomes an event", func(l *load) { l.byKinesis((*load).onDemand) }},
	{"kinesis-provisioned", "the same with just as many provisioned shards as that takes", func(l *load) { l.byKinesis((*load).provisioned) }},
	{"command", "HTTP API and command: a request becomes an event at once", (*load).byCommand},
	{"sequence", "the log and its index", (*load).sequenced},
	{"write", "one projection: each event changes a document of 1 KB", (*load).written},
	{"query", "HTTP API and query: as many reads of a stream of ten events", (*load).queried},
	{"storage", "to keep one month's events, with point-in-time recovery", (*load).stored},
	{"watch", "alarms, dashboard, metrics, the playback stream, the clock of write and react", (*load).watched},
	{"annals-table", "appends alone: one conditional PutItem a commit", (*load).appended},
	{"seed-table", "the first article's table: an item an event, two indexes", func(l *load) { l.itemAnEvent(1, 0) }},
	{"seed-table-versioned", "the same with versions, by TransactWriteItems", func(l *load) { l.itemAnEvent(2, 2) }},
}

var sums = []sum{
	{"all-sqs", "sqs, sequence, write, storage and watch", []string{"sqs", "sequence", "write", "storage", "watch"}},
	{"all-kinesis", "kinesis, sequence, write, storage and watch", []string{"kinesis", "sequence", "write", "storage", "watch"}},
	{"all-command", "command, sequence, write, storage and watch", []string{"command", "sequence", "write", "storage", "watch"}},
}

// What requests use. The test that holds a figure is named in assumptions.
const (
	packedAlone    = 0.58 // of an event's bytes, where it is stored by itself
	packedTogether = 0.27 // for each further event of a commit or a page
	hashBytes      = 36   // of a commit's hash, in its item and in its page
	itemOverhead   = 100  // bytes of storage that DynamoDB adds to an item
	bucketUnits    = 17   // a commit of more write units goes to the bucket
	pageUnits      = 9    // a page of more
	runPages       = 128  // that close a run of the log
	runEvents      = 8192
	runBytes       = 1 << 20
	envelope       = 300 // bytes around an event's data, as a CloudEvent
	perStream      = 10  // events of a stream and of a request, that come close together
	documentUnits  = 2   // to write a document of 1 KB with its checkpoint, by transaction
	perTransaction = 99  // documents beside the checkpoint
	wakeUnits      = 7   // read units of a wake-up, one a call, beside those of its documents
	idleUnits      = 5   // of one with nothing to do
	streamPolls    = 4   // a second and shard, by Lambda
	shardRecords   = 1000.0
	shardBytes     = 1 << 20
	leastShards    = 4   // of an on-demand stream
	logLine        = 1e3 // bytes that an invocation logs
	accessLine     = 400 // bytes that API Gateway logs for a request
	alarmMetrics   = 33  // an alarm on two metrics is paid for twice
	metricCount    = 30
	idleMetrics    = 2 * 2 // of write and react: invocations and how long they took
	gigabyte       = 1 << 30

	callSeconds      = 0.006   // of DynamoDB or Kinesis
	processorSeconds = 0.00175 // 0.5 ms for a message, where 512 MB have 0.29 of a processor
)

// bySQS sends messages one by one, and lets Lambda collect them for track.
func (l *load) bySQS() {
	chunks := func(messages float64) float64 {
		return math.Ceil(messages * float64(l.EventBytes+envelope) / (64 << 10))
	}
	l.paySteadily(queueing, l.rate*chunks(1))
	const idle = 5 * 3.0 / 60 // Lambda's five pollers wait 20 seconds at a time
	a := min(10, max(1, l.rate/100))
	l.paySteadily(queueing, max(idle, l.rate/a*chunks(a)))
	batch := l.batched(1, 1)
	l.paySteadily(queueing, l.rate/min(10, batch))
	l.invoke(l.rate/batch, 0.5, appending(batch))
	l.appended()
}

// batched is how many events an invocation gets that collects them for a window
// of some seconds, from each of some shards.
func (l *load) batched(window, shards float64) float64 {
	return min(float64(l.Batch), max(1, l.rate*window/shards))
}

// appending is how long, in seconds, an invocation takes that appends commits: two
// calls for each, 64 at once, but no less than the processor needs.
func appending(commits float64) float64 {
	return 0.010 + max(2*callSeconds*math.Ceil(commits/64), processorSeconds*commits)
}

// invoke bills invocations of a function and what they log.
func (l *load) invoke(perSecond, gigabytes, seconds float64) {
	l.paySteadily(invocation, perSecond)
	l.paySteadily(computing, perSecond*gigabytes*seconds)
	l.paySteadily(logGB, perSecond*logLine/gigabyte)
}

// request bills HTTP API and a function that answers each request.
func (l *load) request(gigabytes, seconds float64) {
	n := l.rate * secondsAMonth
	l.pay(calling, min(n, callsBeforeDiscount))
	l.pay(callingMore, n-callsBeforeDiscount)
	l.paySteadily(logGB, l.rate*accessLine/gigabyte)
	l.invoke(l.rate, gigabytes, seconds)
}

// packed is the bytes of n events stored together, each a commit.
func (l *load) packed(n float64) float64 {
	return float64(l.EventBytes)*(packedAlone+packedTogether*(n-1)) + hashBytes*n
}

func kilobytes(bytes float64) float64 { return math.Ceil(bytes / 1024) }

// appended stores each event as a commit of a stream whose end the function does
// not know.
func (l *load) appended() {
	units := kilobytes(l.packed(1))
	if units > bucketUnits {
		units = 1
		l.paySteadily(s3Put, 2*l.rate)
	}
	l.paySteadily(writeUnit, units*l.rate)
	l.paySteadily(readUnit, l.rate)
}

func (l *load) byCommand() {
	l.request(0.5, 0.015)
	l.appended()
}

// record is the bytes of a Kinesis record of one event.
func (l *load) record() float64 { return float64(l.EventBytes + envelope) }

// needed is how many shards take the load.
func (l *load) needed() float64 {
	return math.Ceil(max(1, l.rate/shardRecords, l.rate*l.record()/shardBytes))
}

// byKinesis lets load put each request on a stream, and pump take it from there.
func (l *load) byKinesis(stream func(*load) (shards float64)) {
	l.request(0.25, 0.015)
	shards := stream(l)
	batch := l.batched(1, shards)
	l.invoke(l.rate/batch, 0.5, appending(batch))
	l.appended()
}

func (l *load) onDemand() float64 {
	l.pay(streamHour, hoursAMonth)
	l.paySteadily(streamIn, l.rate*kilobytes(l.record())*1024/gigabyte)
	l.paySteadily(streamOut, l.rate*l.record()/gigabyte)
	return max(leastShards, 2*l.needed()) // it keeps room for twice the load
}

func (l *load) provisioned() float64 {
	l.pay(shardHour, l.needed()*hoursAMonth)
	l.paySteadily(payloadUnit, l.rate*math.Ceil(l.record()/(25<<10)))
	return l.needed()
}

// polled is how many batches a second Lambda takes from a stream of DynamoDB, and
// the events in each.
func (l *load) polled(shards float64) (batches, events float64) {
	batches = min(l.rate, streamPolls*shards)
	if batches == 0 {
		return 0, 0
	}
	return batches, l.rate / batches
}

// tableShards is how many shards the stream of the events table has.
func (l *load) tableShards() float64 { return max(1, math.Ceil(l.rate/1000)) }

func (l *load) sequenced() {
	batches, events := l.polled(l.tableShards())
	if batches == 0 {
		return
	}
	l.invoke(batches, 0.5, 0.030+0.0002*events)
	size := l.packed(events)
	if units := kilobytes(size); units <= pageUnits {
		l.paySteadily(writeUnit, batches*units)
	} else {
		pages := math.Ceil(float64(l.EventBytes+envelope) * events / runBytes)
		l.paySteadily(writeUnit, batches*pages)
		l.paySteadily(s3Put, batches*pages)
	}
	run := max(1, min(runPages*events, runEvents, runBytes/(packedTogether*float64(l.EventBytes))))
	runs := l.rate / run
	l.paySteadily(s3Put, runs)
	const item, typesAndSources = 1, 4
	l.paySteadily(writeUnit, runs*(item+typesAndSources)+batches+2*l.rate/perStream) // batches: a marker for each page
	l.paySteadily(readUnit, batches+l.rate/perStream)
}

// written folds what the new pages hold: they are the items of one key, so that
// one shard wakes the function.
func (l *load) written() {
	pages, inPage := l.polled(l.tableShards())
	if pages == 0 {
		return
	}
	batches, events := l.polled(1)
	transactions := math.Ceil(events / perTransaction)
	l.invoke(batches, 0.5, 0.010+callSeconds*(wakeUnits+2*transactions)+0.0003*events)
	l.paySteadily(writeUnit, documentUnits*(l.rate+batches*transactions))
	l.paySteadily(readUnit, l.rate+batches*wakeUnits)
	if size := l.packed(inPage); kilobytes(size) <= pageUnits {
		l.paySteadily(readUnit, pages*(math.Ceil(size/4096)-1))
	} else {
		l.paySteadily(s3Get, pages)
	}
}

func (l *load) queried() {
	l.request(0.5, 0.015)
	l.paySteadily(readUnit, l.rate*math.Ceil(perStream*l.packed(1)/4096))
}

func (l *load) stored() {
	const posting = 160 // bytes of the index's items
	l.keep(l.packed(1)+itemOverhead+2*posting/perStream, packedTogether*float64(l.EventBytes)+hashBytes)
}

// keep bills what a month's events take in tables and in the bucket.
func (l *load) keep(inTables, inBucket float64) {
	events := l.rate * secondsAMonth
	if l.packed(1) > bucketUnits<<10 {
		inTables, inBucket = inTables-l.packed(1), inBucket+l.packed(1)
	}
	l.pay(tableGB, events*inTables/gigabyte)
	l.pay(recoveryGB, events*inTables/gigabyte)
	l.pay(s3GB, events*inBucket/gigabyte)
}

func (l *load) watched() {
	l.pay(alarm, alarmMetrics)
	l.pay(dashboard, 1)
	if l.rate > 0 {
		l.pay(metric, metricCount)
	} else {
		l.pay(metric, idleMetrics)
	}
	l.pay(streamHour, hoursAMonth)
	const woken = 2.0 / 60 // write and react, each minute
	l.invoke(woken, 0.5, 0.010+callSeconds*idleUnits)
	l.paySteadily(readUnit, woken*idleUnits)
}

// itemAnEvent is a table of an item for each event, which two indexes repeat. A
// transaction takes factor times the units, and more for an item of the version.
func (l *load) itemAnEvent(factor, version float64) {
	const indexes = 2
	units := kilobytes(float64(l.EventBytes + envelope))
	l.paySteadily(writeUnit, l.rate*(factor*units+version+indexes*units))
}

// assumptions say what the figures rest on.
func assumptions(opts PriceOptions) []string {
	return []string{
		fmt.Sprintf("events of %d bytes of JSON, each from a sender of its own, of a stream whose end the function does not know: 1 write unit a KB as packed, 1 read unit (TestBillOfMessages; where ten of a stream come together, 0.4 and 0.1)", opts.EventBytes),
		"an event alone is packed to 58 %, and its commit's hash takes 36 bytes (cost-load-1000: 154 read units for 1,000 events of 1 KB), a further one beside it to 27 % (TestBillOfAppends: 3 write units for ten)",
		"ten events a stream and request, close together, for the index: 1 write unit for each stream and each request in a run (cost-sequence-1000); without that, 4 write units an event (cost-sequence-alone)",
		"a document costs 2 write units and 1 read unit, a checkpoint 2 (TestBillOfViews), a wake-up 7 read units besides (TestRequestsOfAWakeUp)",
		fmt.Sprintf("track and pump get what comes in a second, up to %d messages from the queue or from a shard; streams of tables are polled 4 times a second and shard", opts.Batch),
		"not measured on AWS: a call takes 6 ms, 64 at once; a message 0.5 ms of a processor, of which 512 MB have 0.29; a request 15 ms, an invocation 10 to 30 ms besides; it logs 1 KB",
		"prices but those of DynamoDB and S3 requests could not be read from AWS's own list: they are as publications of 2023 to 2026 quote it, which disagree on Kinesis on demand; the price of an alarm is unconfirmed",
		"not counted: free tiers, KMS requests, data transfer, X-Ray, what people read",
	}
}
