package embedded

// planted are the bugs that the battery of robust/linear must find when a build tag
// plants them.
var planted struct {
	noVersionCheck bool // an append at an exact version goes behind whatever is there
	noSecondLook   bool // what others have appended since the append was looked up is not looked at
	noIDCheck      bool // events that the stream holds are stored once more
	noSync         bool // what is acknowledged is not on disk yet
}
