package dynamo

// planted are the bugs that the simulation must find when a build tag of the
// same name plants them.
var planted struct {
	noHeadCheck     bool // an append goes behind a version that the stream has not reached
	noHeal          bool // a commit is numbered before those it follows
	noDuplicateDrop bool // a commit is numbered again when its record comes again
}
