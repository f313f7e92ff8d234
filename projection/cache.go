package projection

// An entry is a document in memory.
type entry[D any] struct {
	key      string
	doc      D
	exists   bool
	position int64
	changed  bool // by the batch at hand
	listed   bool // among what that batch changed
	weight   int
}

// What a cache keeps of documents, roughly: between half and all of this.
const (
	cacheEntries = 1 << 17
	cacheBytes   = 64 << 20
	entryBytes   = 200 // of an entry beside its document
)

// A cache keeps the documents that were used last, in two halves: when the young
// one is full it becomes the old one, and what was in the old one is forgotten.
// Nothing is forgotten during a batch. The zero cache is ready.
type cache[D any] struct {
	young, old map[string]*entry[D]
	weight     int // of the young half, in bytes
}

// turn makes room; to be called between batches.
func (c *cache[D]) turn() {
	if c.young == nil || len(c.young) > cacheEntries/2 || c.weight > cacheBytes/2 {
		c.young, c.old, c.weight = make(map[string]*entry[D]), c.young, 0
	}
}

func (c *cache[D]) get(key string) *entry[D] {
	if e := c.young[key]; e != nil {
		return e
	}
	e := c.old[key]
	if e != nil {
		c.add(e)
	}
	return e
}

func (c *cache[D]) add(e *entry[D]) {
	c.young[e.key] = e
	c.weight += e.weight + entryBytes
}

// weigh notes that e takes n bytes as text.
func (c *cache[D]) weigh(e *entry[D], n int) {
	c.weight += n - e.weight
	e.weight = n
}
