package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eb901187/annals"
)

// indexCheck compares the index on disk with the log. Every entry must lead to
// the record it claims, and no list may name a record twice; then equal counts
// say that no record is missing from the index.
type indexCheck struct {
	v      *verifier
	d      *driver
	counts map[indexKind]int64
	last   struct { // the list at hand and its last address
		key     string
		address int64
		ordinal int64
	}
}

func (c *indexCheck) all() error {
	sealed, err := c.d.index.sealed()
	if err != nil {
		return err
	}
	c.counts = map[indexKind]int64{}
	it, err := c.d.index.db.NewIter(nil)
	if err != nil {
		return c.d.index.err(err)
	}
	for valid := it.First(); valid; valid = it.Next() {
		if err := c.key(it); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return c.d.index.err(err)
	}
	return c.complete(sealed)
}

func (c *indexCheck) key(it *pebble.Iterator) error {
	key := it.Key()
	switch kind := indexKind(key[0]); kind {
	case sealedMark:
		return nil
	case streamHead:
		c.counts[kind]++
		return nil
	case byID:
		return c.run(key, it.Value())
	case byStream, byPosition, byType, bySource, byCorrelation:
		return c.chunk(kind, it)
	}
	c.v.problem("%s: the index holds a key of unknown kind %q", c.d.index.dir, key[:1])
	return nil
}

// run checks a chunk of ids: in order, and with each address once in its run.
func (c *indexCheck) run(key, value []byte) error {
	if !isRunKey(key) || len(value) == 0 || len(value)%idPair != 0 || binary.BigEndian.Uint64(value) != uint64(keyOrdinal(key)) {
		c.v.problem("%s: a chunk of ids is damaged", c.d.index.dir)
		return nil
	}
	for i := idPair; i < len(value); i += idPair {
		if bytes.Compare(value[i-idPair:i], value[i:i+idPair]) >= 0 {
			c.v.problem("%s: ids are out of order in the run of address %d", c.d.index.dir, runOf(key))
		}
	}
	for hash, address := range pairsOf(value) {
		if err := c.entry(byID, "", int64(hash), address); err != nil {
			return err
		}
	}
	return nil
}

func (c *indexCheck) chunk(kind indexKind, it *pebble.Iterator) error {
	key := it.Key()
	name, first := strings.TrimSuffix(string(key[1:len(key)-8]), "\x00"), keyOrdinal(key)
	addresses, ok := parseChunk(nil, it.Value())
	if !ok || len(addresses) == 0 {
		c.v.problem("%s: a list of %q is damaged", c.d.index.dir, name)
		return nil
	}
	if list := string(key[:len(key)-8]); list != c.last.key {
		c.last.key, c.last.address, c.last.ordinal = list, 0, 1
	}
	for i, address := range addresses {
		if address <= c.last.address {
			c.v.problem("%s: a list of %q is out of order at address %d", c.d.index.dir, name, address)
		}
		c.last.address = address
		ordinal := int64(0)
		if kind == byStream || kind == byPosition {
			if ordinal = first + int64(i); ordinal != c.last.ordinal {
				c.v.problem("%s: a list of %q goes on with number %d where %d belongs", c.d.index.dir, name, ordinal, c.last.ordinal)
			}
			c.last.ordinal = ordinal + 1
		}
		if err := c.entry(kind, name, ordinal, address); err != nil {
			return err
		}
	}
	return nil
}

// entry checks that the record at address is what an entry claims.
func (c *indexCheck) entry(kind indexKind, name string, ordinal, address int64) error {
	c.counts[kind]++
	h, b, err := c.d.log.record(address)
	if err != nil {
		c.v.problem("%s: an entry of %q leads to address %d, where no record starts", c.d.index.dir, name, address)
		return nil
	}
	stream := string(b.bytes(b.stream))
	right := false
	switch kind {
	case byStream:
		right = stream == name && h.version == ordinal
	case byPosition:
		right = h.position == ordinal
	case byType:
		right = string(b.bytes(b.typ)) == name
	case bySource:
		right = string(b.bytes(b.source)) == name
	case byCorrelation:
		right = string(b.bytes(b.correlation)) == name
	case byID:
		right = idHash(stream, string(b.bytes(b.id))) == uint64(ordinal)
	}
	if !right {
		c.v.problem("%s: an entry of %q (kind %c, number %d) leads to position %d, stream %s", c.d.index.dir, name, kind, ordinal, h.position, stream)
	}
	return nil
}

// complete compares the number of entries with what the log holds up to the
// index's end, and every stream's version with the index's.
func (c *indexCheck) complete(sealed logEnd) error {
	want := map[indexKind]int64{}
	heads := map[string]int64{}
	if sealed.position > 0 {
		for p, err := range c.d.log.scan(prologueSize, sealed.address, 1) {
			if err != nil {
				return err
			}
			for _, kind := range [...]indexKind{byStream, byPosition, byType, bySource, byID} {
				want[kind]++
			}
			if len(p.bytes(p.correlation)) > 0 {
				want[byCorrelation]++
			}
			heads[string(p.bytes(p.stream))] = p.version
		}
	}
	want[streamHead] = int64(len(heads))
	for kind, n := range want {
		if c.counts[kind] != n {
			c.v.problem("%s: %d entries of kind %c, the log asks for %d", c.d.index.dir, c.counts[kind], kind, n)
		}
	}
	for stream, version := range heads {
		indexed, err := c.d.index.head(stream)
		if err != nil {
			return fmt.Errorf("reading the version of stream %s: %w", stream, err)
		}
		if indexed.version != version {
			c.v.problem("%s: the index has stream %s at version %d, the log at %d", c.d.index.dir, stream, indexed.version, version)
			continue
		}
		if indexed.hash == (annals.Hash{}) {
			continue // it was not at hand
		}
		if hash, err := c.d.hashAt(stream, version); err != nil || hash != indexed.hash {
			c.v.problem("%s: the index has the hash %s for %s@%d, the log %s, error %v", c.d.index.dir, indexed.hash, stream, version, hash, err)
		}
	}
	return nil
}
