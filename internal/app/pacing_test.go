package app_test

import (
	"fmt"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// perMinute sets how many messages a member gets in a minute.
func (w *world) perMinute(n int) {
	w.t.Helper()
	w.must("PUT", "/v1/apps/ops", obj{
		"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "base_url": w.base, "limits": obj{"member_per_minute": n},
	})
}

func text(content, priority string, users ...string) obj {
	m := obj{"app": "ops", "type": "text", "content": obj{"content": content}, "to": obj{"users": users}}
	if priority != "" {
		m["priority"] = priority
	}
	return m
}

func (a answer) time(t *testing.T, key string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, a.str(key))
	require.NoError(t, err, "%s of %s", key, a.raw)
	return at
}

// firstTry is when the first call of a message began.
func firstTry(t *testing.T, a answer) time.Time {
	t.Helper()
	tries := a.body["deliveries"].([]any)[0].(obj)["attempts"].([]any)
	at, err := time.Parse(time.RFC3339Nano, tries[0].(obj)["started_at"].(string))
	require.NoError(t, err)
	return at
}

func TestMemberRate(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.perMinute(2)
		var ids []string
		for i := range 5 {
			ids = append(ids, w.must("POST", "/v1/messages", text(fmt.Sprint("normal ", i), "normal", "load-1")).str("id"))
		}
		other := w.must("POST", "/v1/messages", text("to another", "normal", "load-2")).str("id")
		w.becomes(other, "sent")
		began := []time.Time{firstTry(t, w.becomes(ids[0], "sent")), firstTry(t, w.becomes(ids[1], "sent"))}
		// The third takes the place of the first a minute later, with a second
		// of margin; and so on.
		const window = 61 * time.Second
		due := []time.Time{began[0].Add(window), began[1].Add(window), began[0].Add(2 * window)}
		waits := func(id string, at time.Time) {
			t.Helper()
			eventually(t, id+" waits in the member's line", func() bool { return w.message(id).str("wait_reason") == "member_rate" })
			m := w.message(id)
			require.Equal(t, "queued", m.str("state"))
			require.WithinDuration(t, at, m.time(t, "next_attempt_at"), 2*time.Second)
			d := m.body["deliveries"].([]any)[0].(obj)
			require.Equal(t, m.str("next_attempt_at"), d["next_attempt_at"])
			require.Empty(t, d["attempts"], "waiting spends no attempt")
		}
		for i, at := range due {
			waits(ids[2+i], at)
		}
		urgent := w.must("POST", "/v1/messages", text("urgent", "urgent", "load-1")).str("id")
		waits(urgent, due[0])
		waits(ids[2], due[1])
		list := w.must("GET", "/v1/messages?user=load-1&state=queued", nil).body["items"].([]any)
		require.Len(t, list, 4)
		for _, it := range list {
			require.Equal(t, "member_rate", it.(obj)["wait_reason"])
			require.NotEmpty(t, it.(obj)["next_attempt_at"])
		}

		w.perMinute(3) // one more place: it is the urgent one's
		w.becomes(urgent, "sent")
		waits(ids[2], due[0])
		require.Equal(t, []string{"normal 0", "normal 1", "urgent"}, w.texts("load-1"))
		w.perMinute(30)
		for _, id := range ids {
			w.becomes(id, "sent")
		}
		require.Len(t, w.texts("load-1"), 6)
	})
}

func TestThousandAreDividedAroundThree(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.perMinute(1)
		over := map[string]bool{"load-3": true, "load-500": true, "load-999": true}
		w.becomes(w.must("POST", "/v1/messages", text("first", "normal", "load-3", "load-500", "load-999")).str("id"), "sent")
		var users []string
		for i := range 1000 {
			users = append(users, fmt.Sprintf("load-%d", i))
		}
		id := w.must("POST", "/v1/messages", text("to all", "normal", users...)).str("id")
		eventually(t, "997 have it", func() bool { return w.message(id).body["recipients"].(obj)["accepted"] == 997.0 })
		m := w.message(id)
		require.Equal(t, "queued", m.str("state"))
		require.Equal(t, "member_rate", m.str("wait_reason"))
		require.EqualValues(t, 3, m.body["recipients"].(obj)["waiting"])
		require.Len(t, m.body["deliveries"], 2)
		outcomes := func() map[string]string {
			out := map[string]string{}
			for next := ""; ; {
				page := w.must("GET", "/v1/messages/"+id+"/recipients?limit=200&cursor="+next, nil)
				for _, it := range page.body["items"].([]any) {
					out[it.(obj)["id"].(string)] = it.(obj)["outcome"].(string)
				}
				if next = page.str("next_cursor"); next == "" {
					return out
				}
			}
		}
		rows := outcomes()
		for _, u := range users {
			want := "accepted"
			if over[u] {
				want = "waiting"
			}
			require.Equal(t, want, rows[u], u)
		}
		w.perMinute(30)
		w.becomes(id, "sent")
		for u, outcome := range outcomes() {
			require.Equal(t, "accepted", outcome, u)
		}
		for _, u := range []string{"load-0", "load-3", "load-500", "load-999"} {
			n := 0
			for _, s := range w.texts(u) {
				if s == "to all" {
					n++
				}
			}
			require.Equal(t, 1, n, "%s has it once", u)
		}
	})
}

func TestQuietHoursAndTheirExceptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	now := time.Now().In(zone)
	w.must("PUT", "/v1/scenes/quiet", obj{
		"app": "ops", "to": obj{"users": []string{"zhangsan"}}, "content": obj{"type": "text", "text": obj{"content": "{{ .data.n }}"}},
		"policy": obj{"quiet_hours": obj{
			"from": now.Add(-time.Hour).Format("15:04"), "to": now.Add(2 * time.Hour).Format("15:04"), "zone": "Asia/Shanghai", "except": []string{"urgent"},
		}},
	})
	m := w.message(w.must("POST", "/v1/messages", obj{"scene": "quiet", "data": obj{"n": 1}}).str("id"))
	require.Equal(t, "scheduled", m.str("state"))
	require.Equal(t, "quiet_hours", m.str("wait_reason"))
	require.WithinDuration(t, now.Add(2*time.Hour).Truncate(time.Minute), m.time(t, "next_attempt_at"), 0)
	urgent := w.must("POST", "/v1/messages", obj{"scene": "quiet", "data": obj{"n": 2}, "priority": "urgent"}).str("id")
	w.becomes(urgent, "sent")
	require.Equal(t, []string{"2"}, w.texts("zhangsan"))
}

func TestLanesShowWhoWaits(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{MembersPattern: regexp.MustCompile(`[Ll]oad-\d+`)}, url)
		w.must("PUT", "/v1/apps/ops", obj{
			"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "base_url": w.base, "accounts": 10, "limits": obj{"member_per_minute": 2},
		})
		lane := func() obj {
			for _, it := range w.must("GET", "/v1/lanes", nil).body["items"].([]any) {
				if it.(obj)["lane"] == "app:ops" {
					return it.(obj)
				}
			}
			return obj{}
		}
		for i := range 5 {
			w.must("POST", "/v1/messages", text(fmt.Sprint("n", i), "", "Load-1"))
		}
		var l obj
		eventually(t, "three stand in the member's line, say so, and no more are open", func() bool {
			l = lane()
			return l["parked"] == 3.0 && l["depth"] == 3.0 && reflect.DeepEqual(l["waiting"], obj{"member_rate": 3.0})
		})
		require.NotEmpty(t, l["owner"])
		require.NotEmpty(t, l["reported_at"])
		require.Nil(t, l["pause_reason"])
		used := map[string]string{}
		for _, u := range l["used"].([]any) {
			used[u.(obj)["name"].(string)] = fmt.Sprint(u.(obj)["used"], "/", u.(obj)["limit"])
		}
		require.Equal(t, map[string]string{"member_minute": "2/2", "member_hour": "2/1000", "app_day": "2/2000"}, used)
		hot := l["hot"].([]any)
		require.Len(t, hot, 1)
		h := hot[0].(obj)
		require.Equal(t, "Load-1", h["id"], "in the caller's spelling")
		require.EqualValues(t, 2, h["minute"])
		require.EqualValues(t, 2, h["hour"])
		require.EqualValues(t, 3, h["waiting"])
		require.NotEmpty(t, h["next_at"])

		w.must("POST", "/v1/apps/ops/pause", nil)
		l = lane()
		require.Equal(t, "app_paused", l["pause_reason"])
		require.Nil(t, l["paused_until"], "until somebody resumes it")
		waiting := w.must("POST", "/v1/messages", text("x", "", "load-2")).str("id")
		eventually(t, "it says what it waits for", func() bool { return w.message(waiting).str("wait_reason") == "app_paused" })
		soon := text("y", "", "load-3")
		soon["send_at"] = time.Now().Add(time.Second).Format(time.RFC3339Nano)
		overdue := w.must("POST", "/v1/messages", soon).str("id")
		listed := func(state string) bool {
			page := w.must("GET", "/v1/messages?user=load-3&state="+state, nil)
			items := page.body["items"].([]any)
			return len(items) == 1 && items[0].(obj)["id"] == overdue && items[0].(obj)["state"] == state
		}
		eventually(t, "its time comes", func() bool { return w.message(overdue).str("state") == "queued" })
		require.Equal(t, "app_paused", w.message(overdue).str("wait_reason"))
		require.True(t, listed("queued"), "the list says the same")
		require.False(t, listed("scheduled"))
		w.must("POST", "/v1/apps/ops/resume", nil)
		w.becomes(waiting, "sent")
		w.becomes(overdue, "sent")
		require.Nil(t, lane()["pause_reason"])
	})
}
