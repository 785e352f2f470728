package sandbox_test

import (
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newClock(hour, minute, second int) *clock {
	return &clock{at: time.Date(2026, 11, 24, hour, minute, second, 0, time.FixedZone("CST", 8*3600))}
}

func (r *rig) sendMany(n int, to string) {
	r.Helper()
	for i := range n {
		a := r.send(text(to, fmt.Sprint(i)))
		require.Zero(r, a.Errcode, a.Errmsg)
		require.Empty(r, a.InvalidUser, "the drop is silent")
	}
}

func TestSilentDropSliding(t *testing.T) {
	c := newClock(10, 0, 40)
	r := newRig(t, sandbox.Options{Now: c.now})
	r.sendMany(30, "zhangsan")
	r.sendMany(1, "ZhangSan|lisi")
	require.EqualValues(t, 1, r.sim.Counts().Dropped)
	last := r.sim.Ledger()[30]
	require.Equal(t, []string{"zhangsan"}, last.Dropped)
	require.Equal(t, []string{"lisi"}, last.Users, "others are not touched")

	c.move(30 * time.Second) // the calendar minute is over, the sliding one is not
	r.sendMany(1, "zhangsan")
	require.EqualValues(t, 2, r.sim.Counts().Dropped)
	c.move(30 * time.Second)
	r.sendMany(30, "zhangsan")
	require.EqualValues(t, 2, r.sim.Counts().Dropped)
	r.sendMany(1, "zhangsan")
	require.EqualValues(t, 3, r.sim.Counts().Dropped)
}

func TestSilentDropCalendar(t *testing.T) {
	c := newClock(10, 0, 40)
	r := newRig(t, sandbox.Options{Now: c.now, Window: sandbox.WindowCalendar})
	r.sendMany(31, "zhangsan")
	require.EqualValues(t, 1, r.sim.Counts().Dropped)
	c.move(20 * time.Second)
	r.sendMany(30, "zhangsan")
	require.EqualValues(t, 1, r.sim.Counts().Dropped)
}

func TestSilentDropPerHour(t *testing.T) {
	for _, window := range []sandbox.Window{sandbox.WindowSliding, sandbox.WindowCalendar} {
		t.Run(string(window), func(t *testing.T) {
			c := newClock(10, 0, 0)
			r := newRig(t, sandbox.Options{Now: c.now, Window: window, MemberPerHour: 100})
			for range 4 {
				r.sendMany(25, "zhangsan")
				c.move(time.Minute)
			}
			require.Zero(t, r.sim.Counts().Dropped)
			r.sendMany(2, "zhangsan")
			require.EqualValues(t, 2, r.sim.Counts().Dropped)
			c.move(56 * time.Minute) // 11:00
			r.sendMany(25, "zhangsan")
			require.EqualValues(t, 2, r.sim.Counts().Dropped)
		})
	}
}

func TestAppQuotaBlocksTheDay(t *testing.T) {
	c := newClock(23, 58, 0)
	r := newRig(t, sandbox.Options{Now: c.now, Accounts: 1, MemberPerMinute: -1, MemberPerHour: -1, MembersPattern: regexp.MustCompile(`load-\d+`)})
	r.sendMany(1, bars(150, "load-%d"))
	require.Equal(t, 45009, r.send(text(bars(51, "load-%d"), "over")).Errcode)
	require.Equal(t, 45009, r.send(text("zhangsan", "blocked")).Errcode)
	c.move(2 * time.Minute)
	r.sendMany(1, bars(150, "load-%d"))
}

func TestMembersPattern(t *testing.T) {
	r := newRig(t, sandbox.Options{MembersPattern: regexp.MustCompile(`load-\d+`)})
	a := r.send(text("load-1|xload-1|load-1x", "x"))
	require.Equal(t, "xload-1|load-1x", a.InvalidUser)
	require.Equal(t, []string{"load-1"}, r.sim.Ledger()[0].Users)
}

func TestSendPerMinuteBlocksForAMinute(t *testing.T) {
	c := newClock(10, 0, 0)
	r := newRig(t, sandbox.Options{Now: c.now, SendPerMinute: 2})
	r.sendMany(2, "zhangsan")
	require.Equal(t, 45009, r.send(text("zhangsan", "x")).Errcode)
	c.move(59 * time.Second)
	require.Equal(t, 45009, r.send(text("zhangsan", "x")).Errcode)
	c.move(time.Second)
	r.sendMany(1, "zhangsan")
}

func TestConcurrencyCap(t *testing.T) {
	r := newRig(t, sandbox.Options{MaxConcurrent: 1})
	r.token()
	require.NoError(t, r.sim.SetFaults(sandbox.Fault{Match: sandbox.Match{User: "lisi"}, Drop: sandbox.Hang}))
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		if res, err := r.post(text("lisi", "x")); err == nil {
			_ = res.Body.Close()
		}
	}()
	require.Eventually(t, func() bool { return r.sim.Counts().Faults == 1 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 45033, r.send(text("zhangsan", "x")).Errcode)
	r.sim.Close()
	<-hung
	require.Zero(t, r.send(text("zhangsan", "x")).Errcode)
}

func TestDuplicateCheck(t *testing.T) {
	checked := `{"touser":"zhangsan","msgtype":"text","agentid":1000002,"text":{"content":"x"},"enable_duplicate_check":1,"duplicate_check_interval":60}`
	spaced := `{"touser":"zhangsan", "msgtype":"text","agentid":1000002,"text":{"content":"x"},"enable_duplicate_check":1,"duplicate_check_interval":60}`
	for _, variant := range []sandbox.Duplicate{sandbox.DuplicateSameID, sandbox.DuplicateNewID, sandbox.DuplicateRefused} {
		t.Run(string(variant), func(t *testing.T) {
			c := newClock(10, 0, 0)
			r := newRig(t, sandbox.Options{Now: c.now, Duplicate: variant})
			first := r.send(checked)
			require.Zero(t, first.Errcode)
			c.move(59 * time.Second)
			second := r.send(checked)
			switch variant {
			case sandbox.DuplicateSameID:
				require.Equal(t, first.MsgID, second.MsgID)
			case sandbox.DuplicateNewID:
				require.Zero(t, second.Errcode)
				require.NotEqual(t, first.MsgID, second.MsgID)
			case sandbox.DuplicateRefused:
				require.Equal(t, 40058, second.Errcode)
			}
			require.Len(t, r.sim.Inbox("zhangsan", 10), 1)
			require.Zero(t, r.send(spaced).Errcode)
			require.Len(t, r.sim.Inbox("zhangsan", 10), 2, "other bytes are another request")
			c.move(time.Second)
			require.Zero(t, r.send(checked).Errcode)
			require.Len(t, r.sim.Inbox("zhangsan", 10), 3, "the interval is over")
		})
	}
	byValue := newRig(t, sandbox.Options{DuplicateByValue: true})
	byValue.send(checked)
	byValue.send(spaced)
	require.EqualValues(t, 1, byValue.sim.Counts().Duplicates)
	unchecked := newRig(t, sandbox.Options{})
	unchecked.sendMany(1, "zhangsan")
	unchecked.sendMany(1, "zhangsan")
	require.Len(t, unchecked.sim.Inbox("zhangsan", 10), 2)
}

func TestLedgerIsBounded(t *testing.T) {
	r := newRig(t, sandbox.Options{LedgerSize: 3})
	r.sendMany(5, "zhangsan")
	kept := r.sim.Ledger()
	require.Len(t, kept, 3)
	require.EqualValues(t, 3, kept[0].ID)
	require.EqualValues(t, 5, r.sim.Counts().Taken)

	small := newRig(t, sandbox.Options{LedgerBytes: 2000})
	small.sendMany(9, "zhangsan")
	require.Len(t, small.sim.Ledger(), 3)
}
