package dynamo

// A Plan is how a query was answered.
type Plan struct {
	// Index names what selected runs of the log: "correlation", "type" or
	// "source"; empty where the log was scanned.
	Index string
	// Runs is how many sealed runs lie between the query's positions, and Read how
	// many of them were fetched.
	Runs, Read int
	// Tail is how many pages behind the sealed runs were looked at. They are in
	// memory where this process has seen them before.
	Tail int
	// Events is how many events were decoded, Found how many of them matched.
	Events, Found int
}

// Plan is how the last query under the meter's context was answered.
func (m *Meter) Plan() Plan {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plan
}

func (m *Meter) change(f func(*Plan)) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.plan)
}
