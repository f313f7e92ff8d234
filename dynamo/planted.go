package dynamo

// planted are the bugs that the simulation or the battery of robust/linear must find
// when a build tag of the same name plants them.
var planted struct {
	noHeadCheck     bool // an append goes behind a version that the stream has not reached
	noHeal          bool // a commit is numbered before those it follows
	noCondition     bool // a commit is written over the one that came first
	eventualReads   bool // what was appended a moment ago may be missed
	staleHead       bool // an append is refused by a version that this process saw a while ago
	lostIsRefused   bool // an append whose answer was lost counts as not stored
	noIDCheck       bool // events that the stream holds are stored once more
	noDuplicateDrop bool // a commit is numbered again when its record comes again
	staleHash       bool // an append that was overtaken names the hash of the commit that it had seen last
}
