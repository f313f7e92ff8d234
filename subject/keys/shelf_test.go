package keys

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/subject"
)

func newDirectory(t *testing.T, fs vfs.FS, dir string) subject.Shelf {
	t.Helper()
	if err := createDirectory(fs, dir); err != nil {
		t.Fatal(err)
	}
	shelf, err := Directory(fs, dir)
	if err != nil {
		t.Fatal(err)
	}
	return shelf
}

func newTable(t *testing.T) subject.Shelf {
	t.Helper()
	endpoint := awstest.DynamoDB(t)
	db := dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")})
	for range 2 {
		if err := CreateTable(t.Context(), db, "keys"); err != nil {
			t.Fatal(err)
		}
	}
	missing := Table(db, "other")
	if _, err := missing.Get(t.Context(), "p1"); !errors.Is(err, annals.ErrNotFound) {
		t.Fatalf("a table that is not there: %v", err)
	}
	return Table(db, "keys")
}

// What every shelf holds.
func TestShelves(t *testing.T) {
	for name, open := range map[string]func(*testing.T) subject.Shelf{
		"memory":          func(*testing.T) subject.Shelf { return subject.MemoryShelf() },
		"directory":       func(t *testing.T) subject.Shelf { return newDirectory(t, vfs.Default, t.TempDir()) },
		"files in memory": func(t *testing.T) subject.Shelf { return newDirectory(t, vfs.NewMem(), "keys") },
		"table":           newTable,
		"another's opened": func(t *testing.T) subject.Shelf {
			dir := t.TempDir()
			newDirectory(t, vfs.Default, dir)
			return newDirectory(t, vfs.Default, dir)
		},
	} {
		t.Run(name, func(t *testing.T) { testShelf(t, open(t)) })
	}
}

func testShelf(t *testing.T, s subject.Shelf) {
	if r, err := s.Get(t.Context(), "p1"); err != nil || r.State != subject.None || r.Edition != 0 {
		t.Fatalf("nothing reads as %+v, %v", r, err)
	}
	at := time.Date(2020, 5, 1, 20, 0, 0, 7, time.UTC)
	r := subject.Record{Subject: "p1", State: subject.Active, Edition: 1, Wrapped: []byte{0, 1, 255}, Fingerprint: "0011", Created: at}
	long := subject.Record{Subject: strings.Repeat("ä/", annals.MaxAttributeBytes/3), State: subject.Fenced, Edition: 1, Fenced: at}
	for _, put := range []subject.Record{r, long} {
		if err := s.Put(t.Context(), put); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), put.Subject)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(put) {
			t.Fatalf("put %+v, got %+v, %v", put, got, err)
		}
	}
	for _, edition := range []int64{1, 3} {
		wrong := r
		wrong.Edition = edition
		if err := s.Put(t.Context(), wrong); !errors.Is(err, annals.ErrConflict) {
			t.Fatalf("edition %d: %v", edition, err)
		}
	}
	gone := r
	gone.Edition, gone.State, gone.Wrapped, gone.Destroyed = 2, subject.Destroyed, nil, at
	if err := s.Put(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "p1"); err != nil || got.State != subject.Destroyed || got.Wrapped != nil {
		t.Fatalf("got %+v, %v", got, err)
	}
	names := map[string]bool{}
	for r, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names[r.Subject] = true
	}
	if len(names) != 2 || !names["p1"] {
		t.Fatalf("it lists %v", names)
	}
	testRace(t, s)
}

// testRace has many put the same edition: one of them wins.
func testRace(t *testing.T, s subject.Shelf) {
	var wg sync.WaitGroup
	won := make(chan int, 8)
	for i := range cap(won) {
		wg.Go(func() {
			err := s.Put(t.Context(), subject.Record{Subject: "raced", State: subject.Active, Edition: 1, Wrapped: []byte{byte(i)}})
			if err == nil {
				won <- i
			} else if !errors.Is(err, annals.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	winner := <-won
	if _, two := <-won; two {
		t.Fatal("two puts of one edition succeeded")
	}
	if r, err := s.Get(t.Context(), "raced"); err != nil || len(r.Wrapped) != 1 || int(r.Wrapped[0]) != winner {
		t.Fatalf("%d won, and there is %+v, %v", winner, r, err)
	}
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	fs := vfs.NewMem()
	shelf := newDirectory(t, fs, "keys")
	path := shelf.(*directory).path("p1")
	for _, text := range []string{"", "{", `{"subject":"p2","state":"active","edition":1,"wrapped":"AA=="}`, `{"subject":"p1","state":"open","edition":1}`, `{"subject":"p1","state":"active","edition":1}`, `{"subject":"p1","state":"destroyed","edition":1,"wrapped":"AA=="}`} {
		if err := writeFile(fs, path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := shelf.Get(t.Context(), "p1"); !errors.Is(err, annals.ErrDamaged) {
			t.Errorf("%s: %v", text, err)
		}
		if err := shelf.Put(t.Context(), subject.Record{Subject: "p1", State: subject.Active, Edition: 1, Wrapped: []byte{1}}); !errors.Is(err, annals.ErrDamaged) {
			t.Errorf("a put over %s: %v", text, err)
		}
	}
}

func TestPlacesThatHoldNoKeysAreRefused(t *testing.T) {
	fs := vfs.NewMem()
	if _, err := Directory(fs, "nothing"); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	newDirectory(t, fs, "keys")
	if err := writeFile(fs, "keys/"+formatFile, []byte("annals-keys 2\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := Directory(fs, "keys"); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("another format: %v", err)
	}
}
