package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// seedPay makes a scene whose messages must not come twice.
func (w *world) seedPay() {
	w.t.Helper()
	w.must("PUT", "/v1/scenes/pay", obj{
		"app": "ops", "to": obj{"users": []string{"zhangsan"}}, "content": obj{"type": "text", "text": obj{"content": "paid {{ .data.n }}"}},
		"policy": obj{"on_uncertain": "hold", "duplicate_window": "0s"},
	})
}

// held sends a message whose answer gets lost behind WeCom.
func (w *world) held(n int) string {
	w.t.Helper()
	require.NoError(w.t, w.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Drop: sandbox.Reset, When: sandbox.After, Next: 1}))
	id := w.must("POST", "/v1/messages", obj{"scene": "pay", "data": obj{"n": n}}).str("id")
	eventually(w.t, "the message is held", func() bool { return w.message(id).str("wait_reason") == "held" })
	return id
}

// timeline gives the types of a message's events.
func (w *world) timeline(id string) (out []string) {
	w.t.Helper()
	for _, it := range w.must("GET", "/v1/messages/"+id+"/events", nil).body["items"].([]any) {
		out = append(out, it.(obj)["type"].(string))
	}
	return out
}

func TestHeldMessageIsReleased(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.seedPay()
		id := w.held(1)
		m := w.message(id)
		require.Equal(t, "queued", m.str("state"))
		require.Nil(t, m.body["next_attempt_at"], "it waits for a person")
		d := m.body["deliveries"].([]any)[0].(obj)
		require.Nil(t, d["next_attempt_at"])
		require.Contains(t, d["attempts"].([]any)[0].(obj)["explain"], "waits for a person")
		for _, it := range w.must("GET", "/v1/messages/"+id+"/events", nil).body["items"].([]any) {
			require.NotContains(t, it.(obj)["data"], "next_attempt_at")
		}
		require.Len(t, w.wecom.Inbox("zhangsan", 10), 1, "WeCom has it, and nobody here knows")

		bad := w.try("POST", "/v1/messages/"+id+"/release", obj{"do": "later"})
		require.Equal(t, 422, bad.status)
		require.Equal(t, "/do", bad.body["errors"].([]any)[0].(obj)["pointer"])

		w.must("POST", "/v1/messages/"+id+"/release", nil)
		eventually(t, "it is sent", func() bool { return w.message(id).str("state") == "sent" })
		require.Len(t, w.wecom.Inbox("zhangsan", 10), 2, "a second copy, as was decided")
		require.Contains(t, w.timeline(id), "message.released")

		again := w.try("POST", "/v1/messages/"+id+"/release", obj{"do": "send"})
		require.Equal(t, 409, again.status)
		require.Equal(t, "not_held", again.str("code"))
		require.Equal(t, "nothing of message "+id+" waits for a decision: it is sent", again.str("detail"))
		zh := w.try("POST", "/v1/messages/"+id+"/release", nil, "Accept-Language", "zh")
		require.Equal(t, "消息 "+id+" 没有待人工决定的投递：它的状态是 sent。", zh.str("detail"))
		none := w.try("POST", "/v1/messages/msg_00000000000000000000000000/release", nil)
		require.Equal(t, 404, none.status)
	})
}

func TestHeldMessageIsDropped(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.seedPay()
		id := w.held(1)
		m := w.must("POST", "/v1/messages/"+id+"/release", obj{"do": "drop"})
		require.Equal(t, "uncertain", m.str("state"))
		require.Nil(t, m.body["wait_reason"])
		r := w.must("GET", "/v1/messages/"+id+"/recipients", nil).body["items"].([]any)[0].(obj)
		require.Equal(t, "uncertain", r["outcome"])
		require.Equal(t, "dropped_by_hand", r["reason"])
		require.Equal(t, []string{"message.accepted", "delivery.retry", "message.released", "message.uncertain"}, w.timeline(id))
		require.EqualValues(t, 1, w.wecom.Counts().Send, "it is not sent again")
	})
}
