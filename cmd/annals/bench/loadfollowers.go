package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	followedRate  = 500 // appends a second
	followedWires = 16
	followedMark  = "followed-"
	followedSize  = 100 // aggregates
	// followersPatience is for how long an event may be missing after the last append.
	followersPatience = 30 * time.Second
)

// A follower follows the log by server-sent events over a wire of its own.
type follower struct {
	wire *wire
	in   *bufio.Reader
	last int64 // position
	seen int
	lags latencies // from when an append was due until the follower had the event
}

// follow opens the stream of events behind a position.
func follow(ctx context.Context, address string, after int64) (*follower, error) {
	w := newWire(address)
	f := &follower{wire: w, last: after}
	path := fmt.Sprintf("/v1/events?follow=true&after=%d", after)
	answer, err := w.open(ctx, w.request("GET", path, "Accept: text/event-stream\r\n", nil))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		w.close()
		return nil, fmt.Errorf("following: %s", answer.Status)
	}
	f.in = bufio.NewReaderSize(answer.Body, 32<<10)
	return f, nil
}

// open sends a request whose answer has no end.
func (w *wire) open(ctx context.Context, request []byte) (*http.Response, error) {
	if err := w.dial(ctx); err != nil {
		return nil, err
	}
	if _, err := w.c.Write(request); err != nil {
		w.close()
		return nil, err
	}
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.close()
	}
	return answer, err
}

// next reads one event and calls seen with its id and data. Its position must be
// the one behind the last: nothing may be missing, repeated or in another order.
func (f *follower) next(seen func(data []byte)) error {
	for {
		line, err := f.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(line, []byte("id: ")):
			position, err := strconv.ParseInt(strings.TrimSpace(string(line[4:])), 10, 64)
			if err != nil || position != f.last+1 {
				return fmt.Errorf("an event of id %s came behind that of position %d", bytes.TrimSpace(line[4:]), f.last)
			}
			f.last = position
		case bytes.HasPrefix(line, []byte("data: ")):
			f.seen++
			seen(line)
			return nil
		}
	}
}

// numbered is the number behind mark in an event's id.
func numbered(data []byte, mark string) (int, bool) {
	_, rest, ok := bytes.Cut(data, []byte(`"id":"`+mark))
	if !ok {
		return 0, false
	}
	digits, _, _ := bytes.Cut(rest, []byte{'"'})
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}

// followers lets many follow the log at once while events are appended.
func (l *loader) followers(ctx context.Context) (p LoadPart, err error) {
	return p, l.serving(ctx, "followers", followedSize, func(server *Served) error {
		l.Say(fmt.Sprintf("followers: %d come", l.Followers))
		all := make([]*follower, l.Followers)
		defer func() {
			for _, f := range all {
				if f != nil {
					f.wire.close()
				}
			}
		}()
		for i := range all {
			if all[i], err = follow(ctx, server.Address, followedSize*aggregateSize); err != nil {
				return err
			}
		}
		return l.followed(ctx, server, all, &p)
	})
}

func (l *loader) followed(ctx context.Context, server *Served, all []*follower, p *LoadPart) error {
	l.Say(fmt.Sprintf("followers: %d appends a second", followedRate))
	run := openRun{rate: followedRate, lasting: l.lasting(time.Minute, 2*time.Second), workers: followedWires}
	want := int(run.rate * run.lasting.Seconds())
	wires := newWires(server.Address, followedWires)
	defer closeWires(wires)
	self, err := usageOf(selfPID)
	if err != nil {
		return err
	}
	began := time.Now()
	var reading sync.WaitGroup
	errs := make([]error, len(all))
	t, samples, err := l.sampled(ctx, server, l.duration(time.Second, 200*time.Millisecond), func(t *outcomes) {
		deadline := t.began.Add(run.lasting + followersPatience)
		for i, f := range all {
			reading.Go(func() { errs[i] = f.readAll(want, deadline, t.began) })
		}
		run.into(ctx, t, func(worker int, a arrival) outcome {
			w := wires[worker]
			body := appendEvent(nil, followedMark+strconv.Itoa(a.i))
			o, _ := w.ask(ctx, "append", w.request("POST", "/v1/streams/"+aggregateName(a.i%followedSize)+"/events", "", body))
			return o
		})
		reading.Wait()
	})
	if err != nil {
		return err
	}
	selfAfter, err := usageOf(selfPID)
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	p.judgeFollowers(t, all, want, errs)
	p.Rows[0].ServerCores = cores(samples[len(samples)-1].CPU-samples[0].CPU, elapsed)
	most := ProcessUsage{}
	for _, s := range samples {
		most.RSS, most.Anonymous, most.FDs = max(most.RSS, s.RSS), max(most.Anonymous, s.Anonymous), max(most.FDs, s.FDs)
	}
	p.fact("the server had at most %d MiB of its own (%d MiB resident) and %d file handles; the followers kept %.2f cores busy",
		most.Anonymous>>20, most.RSS>>20, most.FDs, cores(selfAfter.CPU-self.CPU, elapsed))
	return nil
}

// readAll reads so many events of an open run of appends.
func (f *follower) readAll(want int, deadline, began time.Time) error {
	if err := f.wire.c.SetReadDeadline(deadline); err != nil {
		return err
	}
	for f.seen < want {
		if err := f.next(func(data []byte) {
			if n, ours := numbered(data, followedMark); ours {
				f.lags.add(time.Since(began.Add(time.Duration(n) * time.Second / followedRate)))
			}
		}); err != nil {
			return fmt.Errorf("after %d of %d events: %w", f.seen, want, err)
		}
	}
	return nil
}

func (p *LoadPart) judgeFollowers(t *outcomes, all []*follower, want int, errs []error) {
	var lags latencies
	whole := 0
	var first error
	for i, f := range all {
		lags.merge(&f.lags)
		switch {
		case errs[i] != nil && first == nil:
			first = errs[i]
		case errs[i] == nil && f.seen == want && f.lags.n == int64(want):
			whole++
		}
	}
	p.Rows = append(p.Rows, t.row(fmt.Sprintf("%d appends/s", followedRate)), LoadRow{
		Load: fmt.Sprintf("until each of %d followers has it", len(all)), PerSecond: tenths(float64(lags.n) / t.elapsed.Seconds()), Latency: lags.summary(),
	})
	j := Judgement{
		Asked:    fmt.Sprintf("each of %d followers gets each of %d events, once and in order", len(all), want),
		Measured: fmt.Sprintf("%d do", whole), Met: whole == len(all),
	}
	if first != nil {
		j.Measured += ": " + first.Error()
	}
	p.Judged = append(p.Judged, Judgement{
		Asked: "no append fails", Measured: t.said(), Met: t.failures() == 0 && t.good.n == int64(want),
	}, j)
}
