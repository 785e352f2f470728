//go:build unix

package app_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// cluster is a PostgreSQL server of the test's own, with fsync on, that may be
// stopped, crashed and started as the test likes. Not safe for concurrent use.
type cluster struct {
	t    *testing.T
	bin  string // directory of the server's programs
	dir  string // data directory
	port int
	cred *syscall.Credential // nil: run as ourselves
}

// newCluster makes and starts a server; it skips the test where PostgreSQL is
// not installed. The server ends with the test.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, bin: postgresBin()}
	if c.bin == "" {
		t.Skip("skipped: PostgreSQL's server programs are not installed")
	}
	c.place()
	out, err := c.command("initdb", "-D", c.dir, "-U", "hongyan", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	require.NoError(t, err, "%s", out)
	c.Start()
	return c
}

// Standby makes and starts a server that follows this one by streaming, without
// the primary waiting for it.
func (c *cluster) Standby() *cluster {
	c.t.Helper()
	s := &cluster{t: c.t, bin: c.bin}
	s.place()
	out, err := s.command("pg_basebackup", "-d", c.URL(), "-D", s.dir, "-R", "-c", "fast", "--no-sync").CombinedOutput()
	require.NoError(c.t, err, "%s", out)
	s.Start()
	return s
}

// place finds a directory and a port for the server, which ends with the test.
func (c *cluster) place() {
	t := c.t
	t.Helper()
	// Not t.TempDir: the server's user must be able to reach it.
	dir, err := os.MkdirTemp("", "hongyan-pg-")
	require.NoError(t, err)
	c.dir = dir
	t.Cleanup(func() { _, _ = c.ctl("stop", "-m", "immediate"); _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		c.cred = postgresUser(t)
		require.NoError(t, os.Chown(dir, int(c.cred.Uid), int(c.cred.Gid)))
	}
	_, port, err := net.SplitHostPort(freeAddress(t))
	require.NoError(t, err)
	c.port, err = strconv.Atoi(port)
	require.NoError(t, err)
}

// postgresBin is the directory of the newest installed server, or empty.
func postgresBin() string {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil { // the other programs stand beside it
			return filepath.Dir(real)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[0])
}

func postgresUser(t *testing.T) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("skipped: root cannot run PostgreSQL and there is no user postgres")
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if c.cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred}
	}
	return cmd
}

func (c *cluster) ctl(args ...string) ([]byte, error) {
	return c.command("pg_ctl", append(args, "-D", c.dir, "-s", "-w", "-t", "60")...).CombinedOutput()
}

// URL is where the server's only database is.
func (c *cluster) URL() string {
	return fmt.Sprintf("postgres://hongyan@127.0.0.1:%d/postgres?sslmode=disable", c.port)
}

// Start brings a stopped server up, through crash recovery if need be.
func (c *cluster) Start() {
	c.t.Helper()
	options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=on -c full_page_writes=on -c synchronous_commit=on", c.port)
	if out, err := c.ctl("start", "-l", filepath.Join(c.dir, "server.log"), "-o", options); err != nil {
		log, _ := os.ReadFile(filepath.Join(c.dir, "server.log"))
		require.NoError(c.t, err, "%s%s", out, log)
	}
}

// Stop ends the server: "fast" ends the sessions and writes a checkpoint,
// "immediate" is a crash.
func (c *cluster) Stop(mode string) {
	c.t.Helper()
	out, err := c.ctl("stop", "-m", mode)
	require.NoError(c.t, err, "%s", out)
}

// Restart stops the server as Stop does and starts it again.
func (c *cluster) Restart(mode string) {
	c.t.Helper()
	c.Stop(mode)
	c.Start()
}

// Terminate ends every session whose application name starts with hongyan and
// returns how many there were.
func (c *cluster) Terminate() int {
	c.t.Helper()
	var n int
	c.query(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'hongyan%' AND pid <> pg_backend_pid()`, &n)
	return n
}

// query runs one statement on a connection of its own and scans its only row.
func (c *cluster) query(sql string, dest ...any) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL())
	require.NoError(c.t, err)
	defer conn.Close(ctx)
	require.NoError(c.t, conn.QueryRow(ctx, sql).Scan(dest...), strings.TrimSpace(sql))
}

// exec runs one statement on a connection of its own.
func (c *cluster) exec(sql string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL())
	require.NoError(c.t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	require.NoError(c.t, err, sql)
}
