//go:build unix

package app_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// cutter is a way to the database that can break a commit: the server gets it,
// the gateway never hears of it, and then nobody gets through until it opens
// again.
type cutter struct {
	to    string
	ln    net.Listener
	armed atomic.Bool // the next commit is cut
	shut  atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{to: to, ln: ln, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { ln.Close(); c.closeAll() })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go c.serve(in)
		}
	}()
	return c
}

// keep takes both ends of a connection, or closes them while it is shut.
func (c *cutter) keep(in, out net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut.Load() {
		in.Close()
		out.Close()
		return false
	}
	c.conns[in], c.conns[out] = true, true
	return true
}

func (c *cutter) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Close()
	}
	clear(c.conns)
}

// commitStatement names the prepared COMMIT of a session.
var commitStatement = regexp.MustCompile(`(stmtcache_[0-9a-f]+)\x00COMMIT\x00`)

func (c *cutter) serve(in net.Conn) {
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		in.Close()
		return
	}
	if !c.keep(in, out) {
		return
	}
	var committing atomic.Bool
	go func() {
		defer in.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := out.Read(buf)
			if err != nil {
				return
			}
			if committing.Load() { // this is the answer to it: it is done
				c.shut.Store(true)
				c.closeAll()
				return
			}
			if _, err := in.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	defer out.Close()
	var commit []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		// What prepares it commits nothing yet: a session does that before its first.
		if found := commitStatement.FindSubmatch(buf[:n]); found != nil {
			commit = bytes.Clone(found[1])
		} else if commit != nil && bytes.Contains(buf[:n], commit) && c.armed.CompareAndSwap(true, false) {
			committing.Store(true)
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestR07_CommitInDoubt breaks commits whose outcome the gateway cannot learn
// for longer than it asks. Callers repeat with the same key; what the gateway
// itself wrote in doubt must go out, too, and once.
func TestR07_CommitInDoubt(t *testing.T) {
	t.Parallel()
	rounds := 3
	if testing.Short() || raceEnabled {
		rounds = 1
	}
	db := newCluster(t)
	c := newCutter(t, fmt.Sprintf("127.0.0.1:%d", db.port))
	wecom, base := newWeCom(t, unlimited)
	p := newProcess(t, strings.Replace(db.URL(), fmt.Sprintf("127.0.0.1:%d", db.port), c.ln.Addr().String(), 1))
	p.start()
	onFailure(t, db.URL(), p)
	w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
	w.seed()
	inDoubt := func() int {
		out, err := os.ReadFile(p.log)
		require.NoError(t, err)
		return strings.Count(string(out), "outcome of the commit is unknown")
	}
	l := startLoad(w, 8)
	for range rounds {
		had, before := l.count(), inDoubt()
		eventually(t, "messages flow", func() bool { return l.count() > had+50 })
		c.armed.Store(true)
		eventually(t, "a commit is in doubt", func() bool { return inDoubt() > before })
		c.shut.Store(false)
	}
	l.verify()
}
