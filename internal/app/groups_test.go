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

// toRobots is a text for robots.
func toRobots(text string, robots ...string) domain.SendRequest {
	content, _ := json.Marshal(map[string]string{"content": text})
	return domain.SendRequest{Type: &domain.TypeRef{Name: "text"}, Content: content, To: domain.To{Robots: robots}}
}

// toChats is a text for group chats of the app ops.
func toChats(text string, chats ...string) domain.SendRequest {
	r := toRobots(text)
	r.App, r.To = "ops", domain.To{Chats: chats}
	return r
}

// answered counts WeCom's answers to a call.
func (b *bubble) answered(op string, errcode int) (n int) {
	for _, c := range b.wecom.Calls() {
		if c.Op == op && c.Errcode == errcode {
			n++
		}
	}
	return n
}

func bothWindows(t *testing.T, test func(t *testing.T, w sandbox.Window)) {
	t.Helper()
	for _, w := range []sandbox.Window{sandbox.WindowSliding, sandbox.WindowCalendar} {
		t.Run(string(w), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, w) }) })
	}
}

// A hundred messages to a robot that may say twenty a minute: all arrive, none
// is refused, no slot is left unused, and nobody else waits.
func TestR25_RobotStorm(t *testing.T) {
	t.Parallel()
	bothWindows(t, func(t *testing.T, w sandbox.Window) {
		b := newBubble(t, sandbox.Options{
			Window: w, Accounts: -1, Latency: 20 * time.Millisecond, Robots: []sandbox.Robot{{Key: "key-a", Name: "a"}, {Key: "key-b", Name: "b"}},
		})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "plain", domain.Policy{})
		n.robot(t, "room-a", "key-a")
		n.robot(t, "room-b", "key-b")
		var ids []string
		for i := range 100 {
			ids = append(ids, n.submit(t, toRobots(fmt.Sprint("build ", i), "room-a"))...)
		}
		other := n.submit(t, toRobots("hello", "room-b"), request("plain", "hello", "load-1"))
		for _, id := range other {
			b.becomes(id, domain.StateSent, 2*time.Second)
		}
		time.Sleep(10 * time.Second)
		v := b.explained(n, ids[99])
		require.Equal(t, domain.WaitRobotRate, v.WaitReason)
		require.InDelta(t, 4*61, v.NextAttemptAt.Sub(b.began).Seconds(), 3, "the fifth minute")
		b.drained(10 * time.Minute)
		require.InDelta(t, 4*61, time.Since(b.began).Seconds(), 5, "five minutes' slots, each used as soon as it was free")
		require.Zero(t, b.answered(sandbox.OpRobotSend, 45009))
		got := 0
		for _, e := range b.taken() {
			if e.Robot == "a" {
				require.JSONEq(t, fmt.Sprintf(`{"content":"build %d"}`, got), string(e.Content), "in order")
				got++
			}
		}
		require.Equal(t, 100, got)
	})
}

// One message to members, robots and chats: each has its own delivery and its
// own end, and what did not arrive can be sent again alone.
func TestMembersRobotsAndChats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{
			Accounts: -1, Robots: []sandbox.Robot{{Key: "key-a", Name: "a"}, {Key: "key-b", Name: "b", Disabled: true}},
			Chats: []sandbox.Chat{{ID: "c1", Name: "one", Users: []string{"load-1", "load-2"}}},
		})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.robot(t, "room-a", "key-a")
		n.robot(t, "room-b", "key-b")
		r := toChats("hello", "c1", "nowhere")
		r.To.Users, r.To.Robots, r.ExpiresIn = []string{"load-3"}, []string{"room-a", "room-b"}, new("10m")
		id := n.submit(t, r)[0]
		time.Sleep(time.Minute)
		require.Equal(t, "robot_disabled", n.operator.Health("robot:room-b").Cause)
		require.Equal(t, domain.HealthOK, n.operator.Health("ops").State)
		v := b.explained(n, id)
		require.Equal(t, domain.WaitAppBlocked, v.WaitReason)
		v = b.becomes(id, domain.StatePartial, 15*time.Minute)
		rows, _, err := b.store.ListRecipients(t.Context(), id, 100, "")
		require.NoError(t, err)
		ends := map[string]domain.Outcome{}
		for _, row := range rows {
			ends[string(row.Kind)+" "+row.ID] = row.Outcome
		}
		require.Equal(t, map[string]domain.Outcome{
			"user load-3": domain.OutcomeAccepted, "chat c1": domain.OutcomeAccepted, "chat nowhere": domain.OutcomeFailed,
			"robot room-a": domain.OutcomeAccepted, "robot room-b": domain.OutcomeExpired,
		}, ends)
		require.Equal(t, 5, v.Message.Deliveries)
		require.Equal(t, 1, b.answered(sandbox.OpChatSend, 86003), "a chat that is not there is asked for once")
		require.LessOrEqual(t, b.answered(sandbox.OpRobotSend, 93004), 11, "one probe a minute")

		require.NoError(t, b.wecom.PutRobot(sandbox.Robot{Key: "key-b", Name: "b"}))
		n.robot(t, "room-b", "key-c") // a wrong key is as bad
		require.NoError(t, b.wecom.PutChat(sandbox.Chat{ID: "nowhere", Users: []string{"load-4", "load-5"}}))
		again, err := n.intake.Resend(t.Context(), anybody, id, domain.ResendOptions{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, "robot_gone", n.operator.Health("robot:room-b").Cause)
		n.robot(t, "room-b", "key-b")
		b.becomes(again.ID, domain.StateSent, time.Second) // at once, not at the next probe
		require.Equal(t, domain.HealthOK, n.operator.Health("robot:room-b").State)
		places := map[string]int{}
		for _, e := range b.taken() {
			places[e.Robot+e.Chat+e.To.Users]++
		}
		require.Equal(t, map[string]int{"a": 1, "b": 1, "c1": 1, "nowhere": 1, "load-3": 1}, places, "nothing twice")
	})
}

func TestRobotFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, Robots: []sandbox.Robot{{Key: "key-a", Name: "a"}, {Key: "key-b", Name: "b"}}})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.robot(t, "room-a", "key-a")
		n.robot(t, "room-b", "key-b")
		picture, err := base64.StdEncoding.DecodeString(png)
		require.NoError(t, err)
		send := func(kind, name string, data []byte, edit func(r *domain.SendRequest)) string {
			content := fmt.Sprintf(`{"media":{"base64":%q,"filename":%q}}`, base64.StdEncoding.EncodeToString(data), name)
			r := domain.SendRequest{Type: &domain.TypeRef{Name: kind}, Content: json.RawMessage(content), To: domain.To{Robots: []string{"room-a", "room-b"}}}
			if edit != nil {
				edit(&r)
			}
			return n.submit(t, r)[0]
		}
		b.becomes(send("image", "a.png", picture, func(r *domain.SendRequest) { r.App, r.To.Users = "ops", []string{"load-1"} }), domain.StateSent, time.Minute)
		pictures := 0
		for _, e := range b.taken() {
			if e.Robot != "" { // WeCom holds it against its md5
				pictures++
				require.Contains(t, string(e.Content), fmt.Sprintf(`"size":%d`, len(picture)))
			}
		}
		require.Equal(t, 2, pictures)
		for range 2 {
			b.becomes(send("file", "log.txt", []byte("a long log"), nil), domain.StateSent, time.Minute)
		}
		require.Equal(t, 2, b.answered(sandbox.OpRobotUpload, 0), "once for each robot: an id serves no other")

		large := append(picture, make([]byte, 2<<20)...)
		content := fmt.Sprintf(`{"media":{"base64":%q,"filename":"a.png"}}`, base64.StdEncoding.EncodeToString(large))
		_, err = n.intake.Submit(t.Context(), anybody, domain.SendRequest{
			Type: &domain.TypeRef{Name: "image"}, Content: json.RawMessage(content), To: domain.To{Robots: []string{"room-a"}},
		}, domain.SubmitOptions{})
		require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
		require.ErrorContains(t, err, "/content/media")
	})
}

// WeCom suppresses no copies of what robots say, so nothing is repeated blindly.
func TestRobotAnswersGetLost(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]struct {
		state  domain.State
		copies int
	}{"retry": {domain.StateSent, 2}, "drop": {domain.StateUncertain, 1}} {
		t.Run(policy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := newPipedBubble(t, sandbox.Options{Robots: []sandbox.Robot{{Key: "key-a", Name: "a"}}})
				defer b.close()
				n.robot(t, "room", "key-a")
				b.faults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpRobotSend}, Drop: sandbox.Reset, When: sandbox.After, Next: 1})
				r := toRobots("hello", "room")
				r.OnUncertain = &policy
				id := n.submit(t, r)[0]
				b.becomes(id, want.state, time.Hour)
				time.Sleep(3 * time.Hour)
				require.Len(t, b.taken(), want.copies)
			})
		})
	}
}

func TestRobotDigests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Robots: []sandbox.Robot{{Key: "key-a", Name: "a"}}})
		defer b.close()
		n := b.start("n1")
		n.robot(t, "room", "key-a")
		_, _, err := n.catalog.PutScene(t.Context(), domain.Scene{
			Key: "alert", To: domain.To{Robots: []string{"room"}}, Content: json.RawMessage(`{"type":"text","text":{"content":"{{ .data.text }}"}}`),
			Policy: domain.Policy{Digest: &domain.Digest{Window: "60s"}},
		}, -1, "")
		require.NoError(t, err)
		var reqs []domain.SendRequest
		for i := range 50 {
			reqs = append(reqs, request("alert", fmt.Sprint("disk ", i, " is full")))
		}
		ids := n.submit(t, reqs...)
		b.becomes(ids[0], domain.StateSent, 2*time.Second)
		for _, id := range ids[1:] {
			b.becomes(id, domain.StateMerged, 2*time.Minute)
		}
		d := b.digestOf(ids[49])
		require.Equal(t, domain.StateSent, d.State)
		require.Empty(t, d.Message.App)
		require.Len(t, b.taken(), 2)
		require.Contains(t, string(b.taken()[1].Content), "49 条消息合并")
		rows, _, err := b.store.ListRecipients(t.Context(), d.Message.ID, 10, "")
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, domain.KindRobot, rows[0].Kind)
		require.Equal(t, "room", rows[0].ID)
	})
}

// Members of two chats get what both say; WeCom drops in silence what is more
// than 200 a minute for one of them.
func TestChatStorm(t *testing.T) {
	t.Parallel()
	bothWindows(t, func(t *testing.T, w sandbox.Window) {
		b := newBubble(t, sandbox.Options{
			Window: w, Accounts: -1, Latency: 20 * time.Millisecond,
			Chats: []sandbox.Chat{{ID: "c1", Users: []string{"load-1", "load-2"}}, {ID: "c2", Users: []string{"load-2", "load-3"}}, {ID: "c3", Users: []string{"load-4", "load-5"}}},
		})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "plain", domain.Policy{})
		var reqs []domain.SendRequest
		for i := range 300 {
			reqs = append(reqs, toChats(fmt.Sprint("one ", i), "c1"), toChats(fmt.Sprint("two ", i), "c2"))
		}
		began := time.Now()
		n.submit(t, reqs...)
		for _, id := range n.submit(t, toChats("three", "c3"), request("plain", "hello", "load-6")) {
			b.becomes(id, domain.StateSent, 5*time.Second)
		}
		b.drained(10 * time.Minute)
		require.InDelta(t, 2*61, time.Since(began).Seconds(), 8, "three minutes' slots of the member of both")
		require.Zero(t, b.wecom.Counts().Dropped)
		require.Len(t, b.taken(), 602)
		require.Equal(t, 3, b.answered(sandbox.OpChatGet, 0), "who is in a chat is read once")
	})
}

// After a restart what was said before still counts, without asking again who
// heard it.
func TestChatsCountOverARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, Chats: []sandbox.Chat{{ID: "c1", Users: []string{"load-1", "load-2"}}}})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		send := func(from, to int) {
			var reqs []domain.SendRequest
			for i := from; i < to; i++ {
				reqs = append(reqs, toChats(fmt.Sprint("one ", i), "c1"))
			}
			n.submit(t, reqs...)
		}
		send(0, 150)
		b.drained(time.Minute)
		b.kill(n)
		time.Sleep(20 * time.Second)
		n = b.start("n1")
		send(150, 250)
		b.drained(5 * time.Minute)
		require.Zero(t, b.wecom.Counts().Dropped)
		require.Len(t, b.taken(), 250)
		require.Equal(t, 1, b.answered(sandbox.OpChatGet, 0))
	})
}

// An app that not the whole corp may see has no chats; its messages to members
// go on.
func TestAppWithoutChats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, Chats: []sandbox.Chat{{ID: "c1", Users: []string{"load-1", "load-2"}}}})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "plain", domain.Policy{})
		b.faults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpChatSend}, Errcode: 48002}, sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpChatGet}, Errcode: 48002})
		id := n.submit(t, toChats("hello", "c1"))[0]
		v := b.becomes(id, domain.StateFailed, time.Minute)
		require.Equal(t, 48002, v.Deliveries[0].Attempts[0].Errcode)
		require.Equal(t, domain.HealthOK, n.operator.Health("ops").State)
		b.becomes(n.submit(t, request("plain", "hello", "load-1"))[0], domain.StateSent, time.Second)
	})
}
