package embedded

// Reindex builds the index of the store in dir again from the log, which no
// process may have open, and returns the number of events in it. Interrupted,
// it leaves a store that the next opening indexes.
func Reindex(dir string, options *Options) (events int64, err error) {
	opts := options.orDefaults()
	opts.MustExist, opts.reindex = true, true
	d, err := open(dir, &opts)
	if err != nil {
		return 0, err
	}
	events = d.end.position
	return events, d.Close()
}
