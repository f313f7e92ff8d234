package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
	"github.com/eb901187/annals/tracking"
)

func (a *app) demo() *cobra.Command {
	var s service
	once := false
	c := &cobra.Command{
		Use:   "demo",
		Short: "Store a day of sample requests, show two traces, and serve them",
		Args:  takes,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if !cmd.Flags().Changed("store") {
				if a.store, err = os.MkdirTemp("", "annals-demo-"); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(a.store)) }()
			}
			if !once || a.isDynamo() {
				if _, err := a.directory("demo"); err != nil {
					return err
				}
			}
			return a.with(cmd.Context(), true, func(store *annals.Store) error {
				faulty, err := a.runDemo(cmd.Context(), store)
				if err != nil || once {
					return err
				}
				s.ready = func(address string) { a.inviteTo(address, faulty) }
				return a.serveStore(cmd.Context(), store, s)
			})
		},
	}
	s.addFlags(c)
	explainStore(c, "the store: a directory; by default a temporary one that goes when the demo ends")
	c.Flags().BoolVar(&once, "once", false, "exit after the traces")
	return c
}

// sampleRequests is how many requests a day of the demo has.
const sampleRequests = 1440

// inviteTo prints what to try on the server at address.
func (a *app) inviteTo(address, request string) {
	if a.asJSON {
		return
	}
	self := os.Args[0]
	if strings.Contains(self, "go-build") {
		self = "go run ./cmd/annals" // which left no command to call
	}
	fmt.Fprintf(a.out, "\nAsk for more from another terminal, and end this one with Ctrl-C:\n"+
		"  %[1]s trace %[3]s --store %[2]s\n"+
		"  %[1]s log --limit 10 --store %[2]s\n"+
		"  curl '%[2]s/v1/events?types=MICROSERVICE_RESPONSE&limit=3'\n\n", self, address, request)
}

// runDemo stores the sample and shows two traces. It returns the request of the
// faulty one.
func (a *app) runDemo(ctx context.Context, store *annals.Store) (string, error) {
	midnight := a.clock().UTC().Truncate(24 * time.Hour)
	sample, healthy, faulty := sampleDay(midnight.Add(-24 * time.Hour))
	summary, err := (&ingest.Runner{Store: store}).Run(ctx, ingest.Items(strings.NewReader(sample)))
	if err != nil {
		return "", err
	}
	if !a.asJSON {
		fmt.Fprintf(a.out, "stored %d events of %d requests to two services\n\n", summary.Stored, sampleRequests)
	}
	for i, id := range []string{healthy, faulty} {
		t, err := tracking.Read(ctx, store, id, a.clock())
		if err != nil {
			return "", err
		}
		if a.asJSON {
			err = a.printJSON(t)
		} else if err = printTrace(a.out, t); i == 0 {
			fmt.Fprintln(a.out)
		}
		if err != nil {
			return "", err
		}
	}
	return faulty, nil
}

// sampleDay makes the tracking messages of one day as NDJSON: a gateway calls
// Microservice A and then B, which fails at times. It returns a request that
// went well and one that did not.
func sampleDay(day time.Time) (ndjson, healthy, faulty string) {
	random := rand.New(rand.NewPCG(1, 2)) // the same day on every run
	var b strings.Builder
	for i := range sampleRequests {
		id := fmt.Sprintf("req-%04d", i)
		at := day.Add(time.Duration(i)*time.Minute + time.Duration(random.IntN(60_000))*time.Millisecond)
		n := 0
		message := func(typ, data string) {
			n++
			fmt.Fprintf(&b, `{"id":"%s-%s-%d","requestId":"%s","timestamp":"%s","type":"%s","source":"Gateway","data":%s}`+"\n",
				day.Format("20060102"), id, n, id, at.Format(time.RFC3339Nano), typ, data)
		}
		call := func(service string, status int, failure string) {
			callID := fmt.Sprintf("%s-%d", id, n)
			message(tracking.RequestType, fmt.Sprintf(`{"Name":"%s","callId":"%s"}`, service, callID))
			took := time.Duration(10+random.IntN(90)) * time.Millisecond
			at = at.Add(took)
			message(tracking.ResponseType, fmt.Sprintf(`{"Name":"%s","callId":"%s","status":%d,"durationMs":%d,"error":%s}`, service, callID, status, took.Milliseconds(), failure))
			at = at.Add(time.Duration(1+random.IntN(5)) * time.Millisecond)
		}
		call("Microservice A", 200, "null")
		if random.IntN(20) > 0 {
			call("Microservice B", 200, "null")
			healthy = id
		} else {
			call("Microservice B", 503, `"connection pool exhausted"`)
			faulty = id
		}
	}
	return b.String(), healthy, faulty
}
