package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// fault is a row of the matrix: what goes wrong with one message, and what
// must come of it.
type fault struct {
	row   string
	opt   sandbox.Options
	with  []sandbox.Fault
	wire  func(p *pipes) // what is wrong with the network
	start time.Duration  // how long after midnight UTC it begins
	// mend ends faults and trouble of the wire after that time; zero: never.
	mend    time.Duration
	secure  bool                      // the app's base URL is https until then
	request func() domain.SendRequest // nil: a text to one member

	class   string // of every attempt but the last
	last    string // of the last attempt; empty: ok
	tries   int    // attempts in all; 0: at least two
	counted int    // of them against the schedule
	state   domain.State
	wait    domain.WaitReason // while it goes wrong; empty: not looked at
	taken   int               // times that WeCom took and showed it
	check   func(t *testing.T, b *bubble, n *node, v domain.MessageView)
}

func errcode(code, next int) []sandbox.Fault { return []sandbox.Fault{{Errcode: code, Next: next}} }

// TestR30_FaultMatrix goes through everything that can go wrong on WeCom's
// side: each fault has its class, its schedule, its end and its risk. Rows of
// the transport that need a real socket are in wecom's TestR14_FailureClasses,
// those of a disk in the store, those of several nodes in the cluster's tests.
func TestR30_FaultMatrix(t *testing.T) {
	t.Parallel()
	const (
		notSent, ambiguous, transient = "not_sent", "ambiguous", "transient"
		sent                          = domain.StateSent
	)
	once := func(f sandbox.Fault) []sandbox.Fault { f.Next = 1; return []sandbox.Fault{f} }
	repeated := func(t *testing.T, b *bubble, _ *node, v domain.MessageView) {
		// The same bytes, two to five seconds later, under the duplicate check.
		require.InDelta(t, 3, gaps(v)[0].Seconds(), 1)
		require.Positive(t, v.Deliveries[0].Delivery.DupInterval)
		sums := map[string]bool{}
		for _, e := range b.wecom.Ledger() {
			sums[e.BodySHA256] = true
		}
		require.Len(t, sums, 1, "repeated byte for byte")
	}
	alerted := func(t *testing.T, b *bubble, _ *node, _ domain.MessageView) {
		require.Equal(t, 1, b.logs.count("WeCom cannot be reached"), "once, at once")
	}
	for _, f := range []fault{
		{row: "1 dns", wire: func(p *pipes) { p.fault = unknownHost }, mend: 20 * time.Second, class: notSent, state: sent, wait: domain.WaitBackoff, taken: 1, check: alerted},
		{row: "2 refused", wire: func(p *pipes) { p.fault = refused }, mend: 20 * time.Second, class: notSent, state: sent, wait: domain.WaitBackoff, taken: 1, check: alerted},
		{row: "2 connect timeout", wire: func(p *pipes) { p.fault = unanswered }, mend: 20 * time.Second, class: notSent, state: sent, taken: 1, check: alerted},
		{
			row: "2 tls", secure: true, wire: func(p *pipes) { p.tls = true }, mend: 20 * time.Second, class: notSent, state: sent, wait: domain.WaitBackoff, taken: 1,
			check: func(t *testing.T, b *bubble, n *node, v domain.MessageView) {
				alerted(t, b, n, v)
				require.Equal(t, 1, b.logs.count("certificate"), "it says what is wrong")
				require.Contains(t, v.Deliveries[0].Attempts[0].Errmsg, "certificate")
			},
		},
		{row: "3 reset before the request was written", wire: func(p *pipes) { p.cut = true }, mend: 20 * time.Second, class: notSent, state: sent, wait: domain.WaitBackoff, taken: 1},
		{row: "4 timeout before WeCom took it", with: once(sandbox.Fault{Drop: sandbox.Hang}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		{row: "5 timeout after WeCom took it", with: once(sandbox.Fault{Drop: sandbox.Hang, When: sandbox.After}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		{row: "6 reset after the request", with: once(sandbox.Fault{Drop: sandbox.Reset, When: sandbox.After}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		{row: "6 half an answer", with: once(sandbox.Fault{Truncate: 12}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		{row: "7 bad gateway, not taken", with: once(sandbox.Fault{HTTPStatus: 502}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		{row: "7 gateway timeout, taken", with: once(sandbox.Fault{HTTPStatus: 504, When: sandbox.After}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		{row: "8 busy", with: errcode(-1, 4), class: transient, tries: 5, counted: 5, state: sent, wait: domain.WaitBackoff, taken: 1, check: func(t *testing.T, _ *bubble, _ *node, v domain.MessageView) {
			for i, want := range []float64{1, 5, 30, 300} {
				require.InDelta(t, want, gaps(v)[i].Seconds(), 0.2*want+0.1)
			}
		}},
		{row: "9 too many at once", with: errcode(45033, 3), class: transient, tries: 4, counted: 1, state: sent, wait: domain.WaitWeComLimit, taken: 1, check: func(t *testing.T, _ *bubble, _ *node, v domain.MessageView) {
			for _, g := range gaps(v) {
				require.InDelta(t, 1, g.Seconds(), 0.3)
			}
		}},
		{row: "10 quota", start: 14 * time.Hour, with: errcode(45009, 3), class: "quota", tries: 4, counted: 1, state: sent, wait: domain.WaitWeComLimit, taken: 1, check: func(t *testing.T, _ *bubble, _ *node, v domain.MessageView) {
			as := v.Deliveries[0].Attempts
			require.GreaterOrEqual(t, gaps(v)[0], time.Minute)
			require.GreaterOrEqual(t, gaps(v)[1], time.Hour)
			require.NotEqual(t, chinaDay(as[2].StartedAt), chinaDay(as[3].StartedAt), "the next natural day")
		}},
		{row: "13 token expired", with: errcode(42001, 1), tries: 1, counted: 1, state: sent, taken: 1, check: oneToken},
		{row: "13 token invalid", with: errcode(40014, 1), tries: 1, counted: 1, state: sent, taken: 1, check: oneToken},
		{row: "13 token missing", with: errcode(41001, 1), tries: 1, counted: 1, state: sent, taken: 1, check: oneToken},
		{row: "15 credential refused once", with: errcode(40001, 1), tries: 1, counted: 1, state: sent, taken: 1, check: oneToken},
		blocked("15 wrong secret", 40001, sandbox.OpGetToken, "bad_secret"),
		blocked("15 credential refused for good", 40001, sandbox.OpSend, "bad_secret"),
		blocked("16 untrusted ip", 60020, sandbox.OpSend, "untrusted_ip"),
		blocked("17 app disabled", 50003, sandbox.OpSend, "app_disabled"),
		blocked("17 wrong agent", 40056, sandbox.OpSend, "wrong_agent"),
		blocked("17 token of another app", 301002, sandbox.OpSend, "wrong_agent"),
		blocked("17 no privilege", 60011, sandbox.OpSend, "no_privilege"),
		blocked("17 not authorised", 48002, sandbox.OpSend, "no_privilege"),
		{
			row: "18 some recipients invalid", request: to("load-1", "nobody"), tries: 1, counted: 1, state: domain.StatePartial, taken: 1,
			check: func(t *testing.T, b *bubble, _ *node, v domain.MessageView) {
				require.Equal(t, domain.RecipientCounts{Total: 2, Accepted: 1, Failed: 1}, v.Counts)
			},
		},
		{row: "19 all invalid", request: to("nobody", "noone"), class: "recipient", last: "recipient", tries: 1, counted: 1, state: domain.StateFailed},
		{
			row: "19 all invalid after a lost answer", with: []sandbox.Fault{{Drop: sandbox.Reset, When: sandbox.After, Next: 1}, {Errcode: 81013, Next: 1}},
			class: ambiguous, last: "recipient", tries: 2, counted: 2, state: domain.StateUncertain, taken: 1,
		},
		permanent(40008), permanent(40058), permanent(44004), permanent(45002), permanent(45008),
		{row: "21 media id died early", with: errcode(40007, 1), request: picture, tries: 1, counted: 1, state: sent, taken: 1, check: func(t *testing.T, b *bubble, _ *node, _ domain.MessageView) {
			require.EqualValues(t, 2, b.wecom.Counts().ByOp[sandbox.OpUpload], "uploaded again")
		}},
		{
			row: "21 media id died after a lost answer", request: picture,
			with:  []sandbox.Fault{{Drop: sandbox.Reset, When: sandbox.After, Next: 1}, {Errcode: 40007, Next: 1}},
			class: ambiguous, last: "media", tries: 2, counted: 2, state: domain.StateUncertain, taken: 1,
			check: func(t *testing.T, b *bubble, _ *node, _ domain.MessageView) {
				require.EqualValues(t, 1, b.wecom.Counts().ByOp[sandbox.OpUpload], "new bytes could be a second copy")
			},
		},
		{row: "22 slow", with: once(sandbox.Fault{Latency: sandbox.Duration(30 * time.Second)}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		{row: "23 empty answer", with: once(sandbox.Fault{Empty: true, When: sandbox.After}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		{row: "23 captive portal", with: once(sandbox.Fault{HTML: true}), class: ambiguous, tries: 2, counted: 2, state: sent, taken: 1, check: repeated},
		redirected("24 redirect", ""), redirected("24 redirect of the token", sandbox.OpGetToken), redirected("24 redirect of the message", sandbox.OpSend),
		{
			row: "24 redirect once", with: once(sandbox.Fault{HTTPStatus: 302, Location: "http://elsewhere.bubble/"}), class: notSent, tries: 2, counted: 1,
			state: sent, wait: domain.WaitBackoff, taken: 1, check: func(t *testing.T, b *bubble, n *node, v domain.MessageView) {
				alerted(t, b, n, v)
				require.Zero(t, b.logs.count("app is blocked"), "that may be chance")
			},
		},
	} {
		t.Run(f.row, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f.run(t) })
		})
	}
}

func (f *fault) run(t *testing.T) {
	time.Sleep(f.start)
	b, n := newPipedBubble(t, f.opt)
	defer b.close()
	b.faults(f.with...)
	if f.wire != nil {
		b.pipes.set(func() { f.wire(b.pipes) })
	}
	if f.secure {
		n.app(t, "ops", func(a *domain.App) { a.BaseURL = "https://wecom.bubble" })
	}
	if f.request == nil {
		f.request = to("load-1")
	}
	a, err := n.intake.Submit(t.Context(), anybody, f.request(), domain.SubmitOptions{})
	require.NoError(t, err)
	if f.wait != "" {
		b.until("it waits and says until when", time.Minute, func() bool {
			v := b.explained(n, a.ID)
			return v.WaitReason == f.wait && v.NextAttemptAt.After(time.Now())
		})
	}
	if f.mend > 0 {
		time.Sleep(f.mend)
		b.pipes.set(nil)
		b.faults()
		if f.secure {
			n.app(t, "ops", nil)
		}
	}
	v := b.becomes(a.ID, f.state, 30*time.Hour)
	d := v.Deliveries[0]
	got := classes(v)
	if f.last == "" {
		f.last = "ok"
	}
	require.Equal(t, f.last, got[len(got)-1], "%v", got)
	for _, c := range got[:len(got)-1] {
		require.Equal(t, f.class, c, "%v", got)
	}
	if f.tries > 0 {
		require.Len(t, got, f.tries, "%v", got)
		require.Equal(t, f.counted, d.Delivery.Attempts, "attempts that count")
	} else {
		require.Greater(t, len(got), 1)
		require.Equal(t, 1, d.Delivery.Attempts, "what WeCom cannot have does not count")
	}
	require.Len(t, b.taken(), f.taken)
	if f.check != nil {
		f.check(t, b, n, v)
	}
}

// blocked is a row of a fault that a person must mend.
func blocked(row string, code int, op, cause string) fault {
	return fault{
		row: row, with: []sandbox.Fault{{Errcode: code, Match: sandbox.Match{Op: op}}}, mend: 10*time.Minute + 30*time.Second,
		wait: domain.WaitAppBlocked, state: domain.StateSent, taken: 1, class: classOf(code),
		check: func(t *testing.T, b *bubble, n *node, v domain.MessageView) {
			require.Equal(t, domain.HealthOK, n.sender.Health().Of("ops").State)
			require.Equal(t, 1, b.logs.count("cause="+cause))
			minute := callsByMinute(b, v)
			require.LessOrEqual(t, minute[0], 5, "calls in the first minute")
			for i := 1; i <= 10; i++ {
				if op != sandbox.OpGetToken || i <= 7 { // WeCom bans who shows it too many wrong secrets
					require.Positive(t, minute[i], "it is probed in minute %d", i)
				}
				if code != 40001 { // there a probe is a message with each token
					require.LessOrEqual(t, minute[i], 1, "one probe in minute %d", i)
				}
			}
		},
	}
}

// callsByMinute counts calls from the first attempt on.
func callsByMinute(b *bubble, v domain.MessageView) map[int]int {
	first := v.Deliveries[0].Attempts[0].StartedAt
	minute := map[int]int{}
	for _, c := range b.wecom.Calls() {
		minute[int(c.At.Sub(first)/time.Minute)]++
	}
	return minute
}

// redirected is a row of a base URL that leads elsewhere: nothing is followed,
// and a person is told what to mend.
func redirected(row, op string) fault {
	return fault{
		row: row, with: []sandbox.Fault{{HTTPStatus: 302, Location: "http://elsewhere.bubble/cgi-bin/message/send", Match: sandbox.Match{Op: op}}},
		mend: 10*time.Minute + 30*time.Second, wait: domain.WaitAppBlocked, state: domain.StateSent, taken: 1, class: "not_sent",
		check: func(t *testing.T, b *bubble, n *node, v domain.MessageView) {
			require.Equal(t, domain.HealthOK, n.sender.Health().Of("ops").State, "it heals by itself")
			require.Equal(t, 1, b.logs.count("WeCom cannot be reached"), "at once")
			require.Equal(t, 1, b.logs.count("cause="+domain.CauseRedirected))
			require.Contains(t, v.Deliveries[0].Attempts[0].Errmsg, "redirects are not followed")
			minute := callsByMinute(b, v)
			require.LessOrEqual(t, minute[0], 4, "calls in the first minute")
			for i := 1; i <= 10; i++ {
				require.Equal(t, 1, minute[i], "one probe in minute %d", i)
			}
		},
	}
}

func classOf(code int) string {
	if code == 40001 {
		return "token-or-config"
	}
	return "config"
}

// permanent is a row of a refusal that repeating cannot help.
func permanent(code int) fault {
	return fault{
		row: fmt.Sprintf("20 errcode %d", code), with: errcode(code, 0), class: "payload", last: "payload", tries: 1, counted: 1, state: domain.StateFailed,
	}
}

func oneToken(t *testing.T, b *bubble, _ *node, _ domain.MessageView) {
	require.EqualValues(t, 2, b.wecom.Counts().GetToken, "the first and one more")
	require.EqualValues(t, 2, b.wecom.Counts().Send, "repeated at once")
}

func to(users ...string) func() domain.SendRequest {
	return func() domain.SendRequest {
		return domain.SendRequest{
			App: "ops", Type: &domain.TypeRef{Name: "text"}, Content: json.RawMessage(`{"content":"hello"}`), To: domain.To{Users: users},
		}
	}
}

func picture() domain.SendRequest {
	gif := "GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x00\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
	content := fmt.Sprintf(`{"media":{"base64":%q,"filename":"report.csv"}}`, base64.StdEncoding.EncodeToString([]byte(gif)))
	return domain.SendRequest{
		App: "ops", Type: &domain.TypeRef{Name: "file"}, Content: json.RawMessage(content), To: domain.To{Users: []string{"load-1"}},
	}
}

func chinaDay(t time.Time) string {
	return t.In(time.FixedZone("UTC+8", 8*3600)).Format(time.DateOnly)
}
