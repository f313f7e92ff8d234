package dynamo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// storeFile is a store as a version of Annals wrote it: the items of its tables in
// DynamoDB's JSON, and the objects of its bucket.
type storeFile struct {
	Events  []map[string]map[string]string `json:"events"`
	Log     []map[string]map[string]string `json:"log"`
	Objects map[string][]byte              `json:"objects"`
}

// loadStore makes a store that holds what a file of testdata says.
func loadStore(t *testing.T, path string) Address {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file storeFile
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	address := newAddress(t)
	if len(file.Objects) == 0 {
		address.Bucket, address.S3Endpoint = "", ""
	}
	mustInit(t, address)
	d := mustOpen(t, address, nil)
	for _, part := range []struct {
		table table
		items []map[string]map[string]string
	}{{d.calls.eventsTable(), file.Events}, {d.calls.logTable(), file.Log}} {
		var items []item
		for _, plain := range part.items {
			items = append(items, parseItem(t, plain))
		}
		if err := d.calls.write(t.Context(), part.table, items); err != nil {
			t.Fatal(err)
		}
	}
	raw := rawClients(t, address)
	for key, body := range file.Objects {
		if _, err := raw.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &address.Bucket, Key: aws.String(key), Body: bytes.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	return address
}

func parseItem(t *testing.T, plain map[string]map[string]string) item {
	t.Helper()
	i := item{}
	for name, value := range plain {
		for kind, v := range value {
			switch kind {
			case "S":
				i[name] = textValue(v)
			case "N":
				var n int64
				if _, err := fmt.Sscan(v, &n); err != nil {
					t.Fatal(err)
				}
				i[name] = numberValue(n)
			case "B":
				b, err := base64.StdEncoding.DecodeString(v)
				if err != nil {
					t.Fatal(err)
				}
				i[name] = bytesValue(b)
			default:
				t.Fatalf("%s is of kind %s", name, kind)
			}
		}
	}
	return i
}

// A store of the layout without hashes, which has commits of each kind, sealed runs,
// pages behind them, and commits that are not numbered, is read whole, is appended to
// and is chained from there on.
func TestStoreFromBeforeHashes(t *testing.T) {
	sizes := sizes{runPages: 3, runEvents: 12, runBytes: 1 << 20, pageEvents: 5, pageBytes: 1 << 20, commitUnits: 2, pageUnits: 2, atOnce: 4}
	for _, name := range []string{"bucket", "tables"} {
		t.Run(name, func(t *testing.T) {
			address := loadStore(t, "testdata/before-hashes/"+name+".json")
			d := mustOpen(t, address, &Options{Poll: time.Millisecond, sizes: &sizes})
			store := annals.New(d, nil)
			report, err := d.Verify(t.Context(), nil)
			if err != nil || len(report.Problems) > 0 || report.Events != 34 || report.Waiting != 4 {
				t.Fatalf("verify: %+v, %v", report, err)
			}
			wantUnchained(t, store)
			// Of heads that are unchained commits, in items and in the bucket.
			versions := map[string]int64{}
			for i := range 4 {
				stream := fmt.Sprint("s", i)
				versions[stream] = int64(len(storetest.Collect(t, annals.New(mustOpen(t, address, nil), nil).Stream(t.Context(), stream, nil))))
				for range 5 {
					commit, err := store.Append(t.Context(), stream, versions[stream], storetest.Event("", "later", `{}`), storetest.Event("", "later", `{}`))
					if err != nil {
						t.Fatal(err)
					}
					versions[stream] = commit.Version
				}
			}
			if _, err := store.Append(t.Context(), "s1", annals.Any, storetest.Event("e1", "later", `{}`)); !errors.Is(err, annals.ErrIDReused) {
				t.Fatalf("an id of the earlier version is used again: %v", err)
			}
			if _, err := d.Reindex(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			wantSound(t, d, 40+40)
			wantGoesOn(t, store, versions)
		})
	}
}

// wantUnchained wants the log of the file as commits without hashes, of one event
// and of several.
func wantUnchained(t *testing.T, store *annals.Store) {
	t.Helper()
	var sizes []int
	n := int64(0)
	for c, err := range store.Chain(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if sizes = append(sizes, len(c.Events)); !c.Unchained || c.Previous != (annals.Hash{}) || c.Events[0].Position != n+1 {
			t.Fatalf("behind position %d comes %+v", n, c)
		}
		n += int64(len(c.Events))
	}
	log := storetest.Collect(t, store.Log(t.Context(), annals.Query{}))
	if n != 34 || len(log) != 34 || !slices.Contains(sizes, 1) || !slices.Contains(sizes, 2) {
		t.Fatalf("%d events in commits of %v, and a log of %d", n, sizes, len(log))
	}
}

// wantGoesOn wants each stream to be chained behind its last commit without a hash.
func wantGoesOn(t *testing.T, store *annals.Store, versions map[string]int64) {
	t.Helper()
	heads := map[string]annals.Hash{}
	chained := 0
	for c, err := range store.Chain(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e := &c.Events[0]
		if c.Unchained == (e.Type == "later") {
			t.Fatalf("%s@%d is unchained: %t", e.Stream, e.Version, c.Unchained)
		}
		if !c.Unchained {
			chained++
			if c.Previous != heads[e.Stream] || c.Previous == (annals.Hash{}) {
				t.Fatalf("%s@%d names %s, before it is %s", e.Stream, e.Version, c.Previous, heads[e.Stream])
			}
		}
		heads[e.Stream] = c.Hash()
	}
	if chained != 5*len(versions) {
		t.Fatalf("%d commits are chained", chained)
	}
}
