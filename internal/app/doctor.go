package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"hongyan/internal/config"
)

// Check is one finding of Doctor.
type Check struct {
	Name   string // what was looked at
	Status string // ok, warn or fail
	What   string // the finding
	Why    string // why it matters; empty when ok
	Fix    string // what to do; empty when ok
}

// Doctor looks at everything that a gateway needs from its surroundings. It
// changes nothing, may run beside a serving gateway, and ends within seconds.
func Doctor(ctx context.Context, cfg config.Config) []Check {
	ctx, cancel := context.WithTimeout(ctx, 9*time.Second)
	defer cancel()
	var out []Check
	out = append(out, checkData(cfg)...)
	out = append(out, checkMaster(cfg))
	out = append(out, checkDatabase(ctx, cfg)...)
	if cfg.RedisURL.Set() {
		out = append(out, checkRedis(ctx, cfg))
	}
	return append(out, checkListener(ctx, cfg), checkWeCom(ctx))
}

func checkData(cfg config.Config) []Check {
	dir := cfg.DataDir
	for { // the directory itself may be made at the first start
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	probe, err := os.CreateTemp(dir, ".hongyan-doctor-*")
	if err != nil {
		return []Check{{
			"data", "fail", "the data directory cannot be written: " + cause(err),
			"messages could not be kept", "give this user write permission on " + dir + " or set HONGYAN_DATA_DIR",
		}}
	}
	defer func() { _ = os.Remove(probe.Name()) }() // a leftover is empty and named after us
	defer probe.Close()
	out := []Check{{Name: "data", Status: "ok", What: "the data directory can be written: " + dir}}

	if free, ok := freeSpace(dir); ok {
		c := Check{Name: "space", Status: "ok", What: fmt.Sprintf("%d MiB free", free>>20)}
		if free < 1<<30 {
			c.Status, c.Why, c.Fix = "warn", "a full disk stops accepting messages (507)", "free some space or move HONGYAN_DATA_DIR"
		}
		out = append(out, c)
	}
	times := make([]time.Duration, 0, 20)
	for range 20 {
		began := time.Now()
		if _, err := probe.Write(make([]byte, 4096)); err != nil {
			break
		}
		if err := probe.Sync(); err != nil {
			return append(out, Check{"fsync", "fail", "the disk does not keep what it is given: " + cause(err), "an accepted message could be lost", "check the disk and the file system"})
		}
		times = append(times, time.Since(began))
	}
	if len(times) > 0 {
		slices.Sort(times)
		worst := times[len(times)-1]
		c := Check{Name: "fsync", Status: "ok", What: fmt.Sprintf("median %.1f ms, worst %.1f ms", ms(times[len(times)/2]), ms(worst))}
		if worst > 50*time.Millisecond {
			c.Status, c.Why, c.Fix = "warn", "every accept waits for one", "use a faster disk, or PostgreSQL on one"
		}
		out = append(out, c)
	}
	return out
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// cause names an operating system error without its path.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

func checkMaster(cfg config.Config) Check {
	if cfg.MasterKey.Set() {
		return Check{Name: "master key", Status: "ok", What: "given by the settings"}
	}
	info, err := os.Stat(filepath.Join(cfg.DataDir, "master.key"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Check{Name: "master key", Status: "ok", What: "will be made at the first start"}
	case err != nil:
		return Check{"master key", "fail", "cannot be looked at: " + cause(err), "secrets could not be opened", "check the permissions of the data directory"}
	case info.Mode().Perm()&0o077 != 0:
		return Check{"master key", "warn", fmt.Sprintf("others may read it (mode %o)", info.Mode().Perm()), "it opens every stored secret", "chmod 600 the file master.key"}
	}
	return Check{Name: "master key", Status: "ok", What: "kept in the data directory; back it up apart from the database"}
}

func checkRedis(ctx context.Context, cfg config.Config) Check {
	opt, err := redis.ParseURL(cfg.RedisURL.Reveal())
	if err == nil {
		rdb := redis.NewClient(opt)
		defer rdb.Close()
		err = rdb.Ping(ctx).Err()
	}
	if err != nil {
		return Check{"redis", "warn", "Redis does not answer", "access tokens are not shared with other programs; sending works without", "check HONGYAN_REDIS_URL and the server"}
	}
	return Check{Name: "redis", Status: "ok", What: "answers"}
}

func checkListener(ctx context.Context, cfg config.Config) Check {
	ln, err := listen(ctx, cfg.Listen)
	if err == nil {
		_ = ln.Close()
		return Check{Name: "listen", Status: "ok", What: cfg.Listen + " is free"}
	}
	req, rerr := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.Listen+"/readyz", nil)
	if rerr == nil {
		client := &http.Client{Timeout: 2 * time.Second}
		if res, err := client.Do(req); err == nil {
			defer res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return Check{Name: "listen", Status: "ok", What: "a gateway is serving on " + cfg.Listen}
			}
			return Check{"listen", "warn", "something answers on " + cfg.Listen + " and is not ready", "", "look at its log"}
		}
	}
	return Check{"listen", "fail", cfg.Listen + " cannot be listened on: " + cause(err), "the gateway could not start", "stop the other program or set HONGYAN_LISTEN"}
}

func checkWeCom(ctx context.Context) Check {
	const host = "qyapi.weixin.qq.com"
	var r net.Resolver
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := r.LookupHost(ctx, host); err != nil {
		return Check{"wecom", "warn", "the name " + host + " is not found", "apps without a base_url of their own cannot send", "check DNS, or set a proxy or base_url on the apps"}
	}
	d := net.Dialer{Timeout: 3 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", host+":443")
	if err != nil {
		return Check{"wecom", "warn", host + " cannot be reached", "apps without a proxy cannot send", "open port 443 outward, or set a proxy on the apps"}
	}
	_ = conn.Close()
	return Check{Name: "wecom", Status: "ok", What: host + " can be reached"}
}
