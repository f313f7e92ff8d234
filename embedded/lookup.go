package embedded

import "github.com/eb901187/annals"

// What an append must know of its stream, looked up before its turn comes: the
// committer looks again only where the stream has moved on since.

// lookUp learns where p's stream ends and which of p's ids it holds. It reads the
// disk only for what no tail knows.
func (d *driver) lookUp(p *pending) (err error) {
	p.held = p.held[:0]
	d.mu.RLock()
	p.generation, p.inTail = d.generation, false
	p.head = head{}
	sealed := int64(-1)      // versions that only the disk has; -1: ask it
	var candidates [][]int64 // addresses by event
	for _, t := range [...]*tail{d.frozen, d.active} {
		if t == nil || t.streams[p.stream] == nil {
			continue
		}
		s := t.streams[p.stream]
		p.head = head{s.version(), s.hash}
		p.inTail = true
		if sealed < 0 {
			sealed = s.first - 1
		}
		for i, hash := range p.hashes {
			if addresses := t.idAddresses(hash); addresses != nil {
				if candidates == nil {
					candidates = make([][]int64, len(p.hashes))
				}
				candidates[i] = append(candidates[i], addresses...)
			}
		}
	}
	d.mu.RUnlock()
	if sealed < 0 {
		if p.head, err = d.index.head(p.stream); err != nil {
			return err
		}
		sealed = p.head.version
	}
	if p.head.version > 0 && p.head.hash == (annals.Hash{}) {
		if p.head.hash, err = d.hashAt(p.stream, p.head.version); err != nil {
			return err
		}
	}
	if p.head.version == 0 || sealed == 0 && candidates == nil {
		return nil
	}
	for i, hash := range p.hashes {
		held := int64(0)
		if candidates != nil {
			held, err = d.firstVersion(candidates[i], p.stream, p.events[i].ID)
		}
		if held == 0 && err == nil && sealed > 0 && d.index.ids.mayHold(hash) {
			held, err = d.sealedID(hash, p.stream, p.events[i].ID)
		}
		if err != nil {
			return err
		}
		p.held = append(p.held, held)
	}
	return nil
}

// firstVersion returns the version of the first of these events that has this
// id in this stream, 0 for none.
func (d *driver) firstVersion(addresses []int64, stream, id string) (int64, error) {
	for _, address := range addresses {
		if version, err := d.idVersion(address, stream, id); version > 0 || err != nil {
			return version, err
		}
	}
	return 0, nil
}

// sealedID returns the version that an id of a stream has in the index on disk,
// 0 for none.
func (d *driver) sealedID(hash uint64, stream, id string) (int64, error) {
	for address, err := range d.index.idAddresses(hash) {
		if err != nil {
			return 0, err
		}
		if version, err := d.idVersion(address, stream, id); version > 0 || err != nil {
			return version, err
		}
	}
	return 0, nil
}

// moved reports whether p's stream may have events that lookUp did not see. Most
// have none, so that the committer needs not look for ids.
func (d *driver) moved(p *pending) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, t := range [...]*tail{d.active, d.frozen} {
		if t != nil && t.streams[p.stream] != nil {
			// Where no tail held the stream, what one holds now came later, though the
			// index may have told of it before it told of its ids.
			return !p.inTail || t.streams[p.stream].version() != p.head.version
		}
	}
	return p.generation != d.generation
}

// idVersion returns the version of the event at address if it has this id in
// this stream, and 0 if only the hash is the same.
func (d *driver) idVersion(address int64, stream, id string) (int64, error) {
	h, b, err := d.log.record(address)
	if err != nil || string(b.bytes(b.id)) != id || string(b.bytes(b.stream)) != stream {
		return 0, err
	}
	return h.version, nil
}
