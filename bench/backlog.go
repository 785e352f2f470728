package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// fillClients post the batches that make a backlog.
const fillClients = 4

// queueCost is what the work costs beside a queue of some length.
type queueCost struct {
	accepts float64 // per second, 64 connections
	cpu     cpu     // for each of them
	list    float64 // ms, median of a page of the newest 50 messages
	waiting float64 // ms, the same of those that wait
	drain   float64 // messages per second once the app goes on
	rss     float64 // MB
}

// backlog compares the cost of accepting, listing and sending beside n waiting
// messages with that beside an empty queue, and restarts the gateway with all
// of them.
func backlog(ctx context.Context, o options, dir, binary, url string, n int64) error {
	w := newWeCom()
	defer w.close()
	g, err := startGateway(ctx, binary, filepath.Join(dir, "backlog"), url)
	if err != nil {
		return err
	}
	defer func() { g.stop() }()
	if err := g.configure(ctx, w.url); err != nil {
		return err
	}
	length := max(o.length/2, time.Second)
	empty, err := g.queueCost(ctx, w, o.clients, length)
	if err != nil {
		return err
	}
	if _, _, err := w.waitFor(ctx, w.accepted.Load(), time.Now()); err != nil { // the rest of the first queue
		return err
	}
	if err := g.post(ctx, "/v1/apps/bench/pause", nil); err != nil {
		return err
	}
	began := time.Now()
	if err := g.fill(ctx, w, n); err != nil {
		return err
	}
	filled := time.Since(began)
	g.stop()
	if g, err = startGateway(ctx, binary, filepath.Join(dir, "backlog"), url); err != nil {
		return err
	}
	fmt.Printf("  %d waiting         filled in %.0f s (%.0f/s in batches of 1000), restart to ready %.0f ms\n",
		n, filled.Seconds(), float64(n)/filled.Seconds(), g.startup.Seconds()*1000)
	full, err := g.queueCost(ctx, w, o.clients, length)
	if err != nil {
		return err
	}
	fmt.Printf("    accept                %8.0f /s beside them, %.0f /s beside an empty queue: × %.2f\n      CPU                 %s beside them; %s beside an empty queue: × %.2f\n",
		full.accepts, empty.accepts, empty.accepts/full.accepts, full.cpu, empty.cpu, full.cpu.sum()/empty.cpu.sum())
	fmt.Printf("    list a page           %8.1f ms beside them, %.1f ms beside a short queue: × %.2f; of those that wait %.1f and %.1f ms: × %.2f\n",
		full.list, empty.list, full.list/empty.list, full.waiting, empty.waiting, full.waiting/empty.waiting)
	fmt.Printf("    claim and send        %8.0f /s from them, %.0f /s from a short queue: × %.2f\n", full.drain, empty.drain, empty.drain/full.drain)
	fmt.Printf("    memory                %8.0f MB RSS, %.0f MB with a short queue\n", full.rss, empty.rss)
	return nil
}

// queueCost pauses the app, measures, lets it go on and measures again.
func (g *gateway) queueCost(ctx context.Context, w *noopWeCom, clients int, length time.Duration) (queueCost, error) {
	var c queueCost
	if err := g.post(ctx, "/v1/apps/bench/pause", nil); err != nil {
		return c, err
	}
	used := g.meter()
	res, err := g.closedLoop(ctx, clients, length)
	if err != nil {
		return c, err
	}
	c.cpu = used(res.accepted)
	w.accepted.Add(res.accepted)
	c.accepts = float64(res.accepted) / length.Seconds()
	for _, x := range []struct {
		path string
		into *float64
	}{{"/v1/messages?limit=50", &c.list}, {"/v1/messages?state=queued&limit=50", &c.waiting}} {
		var all []time.Duration
		for range 50 {
			t := time.Now()
			if err := g.call(ctx, "GET", x.path, nil); err != nil {
				return c, err
			}
			all = append(all, time.Since(t))
		}
		slices.Sort(all)
		*x.into = pct(all, 50)
	}
	before := w.sent.Load()
	if err := g.post(ctx, "/v1/apps/bench/resume", nil); err != nil {
		return c, err
	}
	// At most what is there: a short queue may be empty before the time is over.
	most := w.accepted.Load() - before
	began := time.Now()
	for time.Since(began) < length && w.sent.Load()-before < most && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	c.drain = float64(w.sent.Load()-before) / time.Since(began).Seconds()
	_, c.rss, err = g.idle(ctx, 100*time.Millisecond)
	return c, err
}

// fill accepts n messages in batches.
func (g *gateway) fill(ctx context.Context, w *noopWeCom, n int64) error {
	const size = 1000
	var wg sync.WaitGroup
	errs := make(chan error, fillClients)
	jobs := make(chan int64)
	for range fillClients {
		wg.Go(func() {
			for count := range jobs {
				var b bytes.Buffer
				b.WriteString(`{"messages":[`)
				for i := range count {
					if i > 0 {
						b.WriteByte(',')
					}
					b.Write(payload(seq.Add(1)))
				}
				b.WriteString(`]}`)
				if err := g.post(ctx, "/v1/messages/batch", b.Bytes()); err != nil {
					errs <- err
					return
				}
				w.accepted.Add(count)
			}
		})
	}
	var err error
fill:
	for left := n; left > 0; left -= size {
		select {
		case jobs <- min(left, size):
		case err = <-errs:
			break fill
		}
	}
	close(jobs)
	wg.Wait()
	select {
	case err = <-errs:
	default:
	}
	return err
}
