// Command bench measures the built gateway from outside: it starts the binary
// as its own process, plays a WeCom that does nothing, and prints every figure
// beside a floor measured in the same run. See docs/benchmarks.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"hongyan/internal/store/scratch"
)

func main() {
	var (
		seconds  = flag.Duration("t", 8*time.Second, "length of each closed-loop measurement")
		clients  = flag.Int("c", 64, "connections")
		postgres = flag.String("postgres", os.Getenv("TEST_DATABASE_URL"), "also measure on this PostgreSQL")
		smoke    = flag.Bool("smoke", false, "one second each: only shows that everything works")
		profile  = flag.String("profile", "", "directory for CPU profiles of the closed loops")
		waiting  = flag.Int64("backlog", 1_000_000, "waiting messages beside which everything is measured again; 0: none")
		binary   = flag.String("bin", "", "the gateway's binary (default: build it)")
	)
	flag.Parse()
	if *smoke {
		*seconds, *waiting = time.Second, min(*waiting, 5000)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, options{*binary, *postgres, *profile, *clients, *seconds, *smoke, *waiting}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	binary, postgres, profile string
	clients                   int
	length                    time.Duration
	smoke                     bool
	backlog                   int64
}

func run(ctx context.Context, o options) error {
	binary, postgres, clients, length := o.binary, o.postgres, o.clients, o.length
	dir, err := os.MkdirTemp("", "hongyan-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		binary = filepath.Join(dir, "hongyan")
		args := []string{"build", "-trimpath", "-ldflags=-s -w"}
		if !o.smoke { // as make build does, which takes a minute more
			args = append(args, "-pgo=bench/gateway.pgo")
		}
		build := exec.CommandContext(ctx, "go", append(args, "-o", binary, "./cmd/hongyan")...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	floor, err := echoFloor(ctx, clients, length)
	if err != nil {
		return err
	}
	fmt.Printf("floor: bare net/http JSON echo, c=%d: %.0f req/s\n", clients, floor)
	stores := []struct{ name, url string }{{"sqlite", ""}}
	if postgres != "" {
		stores = append(stores, struct{ name, url string }{"postgres", postgres})
	} else {
		fmt.Println("skipped: postgres (TEST_DATABASE_URL is not set)")
	}
	for _, s := range stores {
		if err := inScratch(ctx, s.url, func(url string) error {
			return measure(ctx, o, filepath.Join(dir, s.name), binary, s.name, url, floor)
		}); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if o.backlog == 0 {
			continue
		}
		if err := inScratch(ctx, s.url, func(url string) error {
			return backlog(ctx, o, filepath.Join(dir, s.name), binary, url, o.backlog)
		}); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// inScratch gives f a fresh part of the PostgreSQL database at base; SQLite (no
// base) has its file in the gateway's own folder.
func inScratch(ctx context.Context, base string, f func(url string) error) error {
	if base == "" {
		return f("")
	}
	url, drop, err := scratch.Schema(ctx, base)
	if err != nil {
		return err
	}
	return errors.Join(f(url), drop())
}

func measure(ctx context.Context, o options, dir, binary, name, url string, floor float64) error {
	clients, length, smoke := o.clients, o.length, o.smoke
	w := newWeCom()
	defer w.close()
	g, err := startGateway(ctx, binary, dir, url)
	if err != nil {
		return err
	}
	defer g.stop()
	if err := g.configure(ctx, w.url); err != nil {
		return err
	}
	fmt.Printf("\n%s\n  start to ready          %8.0f ms\n", name, g.startup.Seconds()*1000)
	idle := 5 * time.Second
	if smoke {
		idle = time.Second
	}
	cpu, rss, err := g.idle(ctx, idle)
	if err != nil {
		return err
	}
	fmt.Printf("  idle                    %8.1f MB RSS, %.2f %% of a core\n", rss, cpu)

	n := 500
	if smoke {
		n = 50
	}
	lat, err := g.openLoop(ctx, w, n, 50)
	if err != nil {
		return err
	}
	fmt.Printf("  accept → WeCom at 50/s  %8.2f ms p50, %.2f ms p99 (n=%d; client's send to WeCom's receipt)\n", lat.p50, lat.p99, n)

	before := w.sent.Load()
	used := g.meter()
	g.profile(ctx, o.profile, name+"-end-to-end", length)
	res, err := g.closedLoop(ctx, clients, length)
	if err != nil {
		return err
	}
	arrived, took, err := w.waitFor(ctx, before+res.accepted, res.began)
	if err != nil {
		return err
	}
	fmt.Printf("  end to end              %8.0f messages/s (%d accepted, %d arrived, accept p50 %.1f ms, p99 %.1f ms), %s\n",
		float64(res.accepted)/took.Seconds(), res.accepted, arrived-before, res.p50, res.p99, used(res.accepted))

	if err := g.post(ctx, "/v1/apps/bench/pause", nil); err != nil {
		return err
	}
	used = g.meter()
	g.profile(ctx, o.profile, name+"-accept", length)
	res, err = g.closedLoop(ctx, clients, length)
	if err != nil {
		return err
	}
	rate := float64(res.accepted) / length.Seconds()
	fmt.Printf("  durable accepts         %8.0f /s = %.0f %% of the floor (app paused; p50 %.1f ms, p99 %.1f ms), %s\n",
		rate, 100*rate/floor, res.p50, res.p99, used(res.accepted))
	return nil
}
