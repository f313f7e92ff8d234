package subject

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/eb901187/annals"
)

const (
	// CacheTime is the longest that a Keyring uses a key without looking whether it
	// was fenced.
	CacheTime = 5 * time.Second
	// SettleTime is how long Destroy waits behind the fence: CacheTime, and what the
	// use of a key that was looked at just before may take.
	SettleTime = CacheTime + time.Second
	// tries is how often a change of a record is begun again because others came first.
	tries = 20
	// maxCached is of how many subjects a Keyring remembers something at most.
	maxCached = 100_000
)

// Options changes how a Keyring works; nil means the defaults.
type Options struct {
	// Cache is how long a key is kept in memory before its record is looked at again:
	// CacheTime by default, and at most.
	Cache time.Duration
	// Clock stamps records and ends caches; time.Now by default.
	Clock func() time.Time
	// Wait waits for a time behind a fence, or until ctx ends, whose error it returns.
	Wait func(ctx context.Context, d time.Duration) error
}

// A Keyring holds the keys of data subjects: it is the annals.Sealer of a Store. It is
// safe for concurrent use, and any number of processes may have the same keys.
type Keyring struct {
	shelf   Shelf
	wrapper Wrapper
	opts    Options

	mu    sync.Mutex
	known map[string]known
	swept time.Time
}

var _ annals.Sealer = (*Keyring)(nil)

// known is what a Keyring remembers of a subject.
type known struct {
	key  *dataKey // nil from the fence on
	read time.Time
}

// New makes a Keyring of the keys on shelf, which wrapper wraps. Error:
// *annals.InvalidError for opts.
func New(shelf Shelf, wrapper Wrapper, opts *Options) (*Keyring, error) {
	k := &Keyring{shelf: shelf, wrapper: wrapper, known: map[string]known{}}
	if opts != nil {
		k.opts = *opts
	}
	if k.opts.Cache < 0 || k.opts.Cache > CacheTime {
		return nil, annals.Invalid("cache", "must be at most %s: so long a fence is waited for", CacheTime)
	}
	if k.opts.Cache == 0 {
		k.opts.Cache = CacheTime
	}
	if k.opts.Clock == nil {
		k.opts.Clock = time.Now
	}
	if k.opts.Wait == nil {
		k.opts.Wait = wait
	}
	return k, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Place names where the keys are, for messages and receipts.
func (k *Keyring) Place() string { return k.shelf.Place() }

// Master names the master key that wraps the others.
func (k *Keyring) Master() string { return k.wrapper.Name() }

// Close releases the Shelf.
func (k *Keyring) Close() error { return k.shelf.Close() }

// Seal implements annals.Sealer. A subject that was never seen gets a key, which is
// durable before it is used.
func (k *Keyring) Seal(ctx context.Context, stream string, e *annals.Event) error {
	subject := e.Subject()
	if err := CheckName(subject); err != nil {
		return err
	}
	key, err := k.key(ctx, subject, true)
	if err != nil {
		return err
	}
	if key == nil {
		return annals.ErasedSubject(stream, e)
	}
	e.Data, e.ContentType = key.sealed(stream, e), annals.SealedContentType
	return nil
}

// Open implements annals.Sealer.
func (k *Keyring) Open(ctx context.Context, e *annals.Event) error {
	if e.ContentType != annals.SealedContentType {
		return nil
	}
	subject := e.Subject()
	if err := CheckName(subject); err != nil {
		return notOpened(e, errNotSealed)
	}
	key, err := k.key(ctx, subject, false)
	switch {
	case errors.Is(err, errNoKey):
		return &annals.Error{
			Code: annals.CodeDamaged, Err: err, Message: fmt.Sprintf("there is no key in %s for the data subject of event %s@%d", k.Place(), e.Stream, e.Version),
			Hint: "name the keys that the store was used with; without keys its events are read as they are sealed",
		}
	case err != nil:
		return err
	case key == nil:
		e.Data, e.ContentType = nil, annals.ErasedContentType
		return nil
	}
	contentType, data, err := key.open(e)
	if err != nil {
		return notOpened(e, err)
	}
	e.Data, e.ContentType = data, contentType
	return nil
}

func notOpened(e *annals.Event, cause error) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Err: cause, Message: fmt.Sprintf("the sealed data of event %s@%d can't be opened with the key of its subject", e.Stream, e.Version),
		Hint: "annals verify says what is damaged; name the keys that the store was used with",
	}
}

var errNoKey = errors.New("nothing was ever sealed for it there")

// key is the key of subject; nil from its fence on. One that there is not is made, or
// errNoKey.
func (k *Keyring) key(ctx context.Context, subject string, make bool) (*dataKey, error) {
	now := k.opts.Clock()
	k.mu.Lock()
	have, there := k.known[subject]
	k.mu.Unlock()
	if age := now.Sub(have.read); there && (have.key == nil || age >= 0 && age < k.opts.Cache) {
		return have.key, nil
	}
	for range tries {
		began := k.opts.Clock() // before the record is read
		r, err := k.shelf.Get(ctx, subject)
		if err != nil {
			return nil, err
		}
		switch {
		case r.State == Fenced || r.State == Destroyed:
			k.remember(subject, known{read: began})
			return nil, nil
		case r.State == Active:
			return k.unwrap(ctx, r, began)
		case !make:
			return nil, errNoKey
		}
		key, err := k.generate(ctx, subject)
		if err == nil {
			k.remember(subject, known{key, began})
			return key, nil
		}
		if !errors.Is(err, annals.ErrConflict) && !errors.Is(err, annals.ErrUnknownOutcome) {
			return nil, err
		}
	}
	return nil, &annals.Error{Code: annals.CodeUnavailable, Message: "the record of a subject's key in " + k.Place() + " changes all the time", Hint: "try again"}
}

func (k *Keyring) unwrap(ctx context.Context, r Record, began time.Time) (*dataKey, error) {
	plain, key, err := k.unwrapped(ctx, r)
	if err != nil {
		return nil, err
	}
	clear(plain)
	k.remember(r.Subject, known{key, began})
	return key, nil
}

// unwrapped is the key of an active record, in both forms.
func (k *Keyring) unwrapped(ctx context.Context, r Record) (plain []byte, key *dataKey, err error) {
	plain, err = k.wrapper.Unwrap(ctx, r.Subject, r.Wrapped)
	if err != nil {
		return nil, nil, err
	}
	key, err = newDataKey(plain)
	if err != nil || key.fingerprint != r.Fingerprint {
		clear(plain)
		return nil, nil, NotWrapped(k.wrapper, errors.Join(err, errors.New("its fingerprint is another")))
	}
	return plain, key, nil
}

// generate makes a key. It is on the shelf when it returns.
func (k *Keyring) generate(ctx context.Context, subject string) (*dataKey, error) {
	plain, wrapped, err := k.wrapper.Generate(ctx, subject)
	if err != nil {
		return nil, err
	}
	key, err := newDataKey(plain)
	clear(plain)
	if err != nil {
		return nil, err
	}
	r := Record{Subject: subject, State: Active, Edition: 1, Wrapped: wrapped, Fingerprint: key.fingerprint, Created: k.now()}
	return key, k.shelf.Put(ctx, r)
}

func (k *Keyring) now() time.Time { return k.opts.Clock().UTC().Round(0) }

// remember keeps what was found, and forgets the keys that have not been used lately.
func (k *Keyring) remember(subject string, what known) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.opts.Clock(); now.Sub(k.swept) >= k.opts.Cache || now.Before(k.swept) {
		k.swept = now
		for name, have := range k.known {
			if have.key != nil && now.Sub(have.read) >= k.opts.Cache {
				delete(k.known, name)
			}
		}
	}
	if len(k.known) >= maxCached {
		clear(k.known)
	}
	if have, there := k.known[subject]; there && have.key == nil {
		return // fenced while the record was read
	}
	k.known[subject] = what
}

// Record is what is kept for subject; one in state None if it was never seen.
func (k *Keyring) Record(ctx context.Context, subject string) (Record, error) {
	if err := CheckName(subject); err != nil {
		return Record{}, err
	}
	return k.shelf.Get(ctx, subject)
}

// Fence ends the use of the key of subject, or keeps it from ever getting one. From
// then on nothing is sealed for it, and its events are read as erased: in this Keyring
// at once, in others within CacheTime. It can't be taken back, and may be repeated.
func (k *Keyring) Fence(ctx context.Context, subject string) (Record, error) {
	return k.change(ctx, subject, func(r *Record) bool {
		if r.State == Fenced || r.State == Destroyed {
			return false
		}
		r.Subject, r.State, r.Fenced = subject, Fenced, k.now()
		return true
	})
}

// Destroy fences subject if it is not, waits for SettleTime until no process has its
// key in memory for use, and destroys it. It may be repeated after any error and any
// crash; where the key is destroyed already it returns at once.
func (k *Keyring) Destroy(ctx context.Context, subject string) (Record, error) {
	r, err := k.Fence(ctx, subject)
	if err != nil || r.State == Destroyed {
		return r, err
	}
	if err := k.opts.Wait(ctx, SettleTime); err != nil {
		return r, err
	}
	return k.change(ctx, subject, func(r *Record) bool {
		if r.State == Destroyed {
			return false
		}
		r.State, r.Wrapped, r.Destroyed = Destroyed, nil, k.now()
		return true
	})
}

// change changes a record, again where others were first, until alter says that it is
// as it should be.
func (k *Keyring) change(ctx context.Context, subject string, alter func(*Record) bool) (Record, error) {
	if err := CheckName(subject); err != nil {
		return Record{}, err
	}
	var last error
	for range tries {
		r, err := k.shelf.Get(ctx, subject)
		if err != nil {
			return Record{}, err
		}
		altered := r
		if !alter(&altered) {
			k.remember(subject, known{})
			return r, nil
		}
		altered.Edition++
		last = k.shelf.Put(ctx, altered)
		switch {
		case last == nil:
			k.remember(subject, known{})
			return altered, nil
		case !errors.Is(last, annals.ErrConflict) && !errors.Is(last, annals.ErrUnknownOutcome):
			return Record{}, last
		}
	}
	return Record{}, last
}
