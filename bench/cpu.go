package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// cpu is the CPU microseconds that each of some messages has cost.
type cpu struct {
	gateway  float64
	database float64 // of the PostgreSQL server; NaN without one on this machine
}

func (c cpu) String() string {
	if math.IsNaN(c.database) {
		return fmt.Sprintf("%.0f CPU µs/message", c.gateway)
	}
	return fmt.Sprintf("%.0f CPU µs/message, and %.0f of the database", c.gateway, c.database)
}

// sum is all of it.
func (c cpu) sum() float64 {
	if math.IsNaN(c.database) {
		return c.gateway
	}
	return c.gateway + c.database
}

// meter starts to count: the function it returns divides what the gateway and
// its database have used since by n messages.
func (g *gateway) meter() (perMessage func(n int64) cpu) {
	used := func() (own, database float64) {
		own, database = math.NaN(), math.NaN()
		if t, _, err := ticks(g.cmd.Process.Pid); err == nil {
			own = float64(t)
		}
		if g.server != 0 {
			database = familyTicks(g.server)
		}
		return own, database
	}
	own, database := used()
	return func(n int64) cpu {
		own2, database2 := used()
		const micros = 10_000 // in a tick
		return cpu{(own2 - own) * micros / float64(n), (database2 - database) * micros / float64(n)}
	}
}

// ticks is the CPU time (user and system) that a process and those of its
// children that have ended used, in units of 10 ms, and its parent.
func ticks(pid int) (used int64, parent int, err error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before may hold anything
	f := strings.Fields(rest)
	for _, field := range f[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, err
		}
		used += n
	}
	parent, err = strconv.Atoi(f[1])
	return used, parent, err
}

// familyTicks is the CPU time of a process and all its children.
func familyTicks(pid int) float64 {
	own, _, err := ticks(pid)
	if err != nil {
		return math.NaN()
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return math.NaN()
	}
	sum := own
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if t, parent, err := ticks(child); err == nil && parent == pid { // it may have just ended
			sum += t
		}
	}
	return float64(sum)
}

// postmaster is the process id of the PostgreSQL server at url when it runs on
// this machine, and 0 when it does not.
func postmaster(ctx context.Context, url string) (int, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	var local bool
	if err := conn.QueryRow(ctx, `SELECT inet_server_addr() IS NOT DISTINCT FROM inet_client_addr()`).Scan(&local); err != nil || !local {
		return 0, err
	}
	_, parent, err := ticks(int(conn.PgConn().PID()))
	if os.IsNotExist(err) { // in a container of its own
		return 0, nil
	}
	return parent, err
}
