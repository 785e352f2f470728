package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// Who cancels too late hears why, and of a group that nothing takes it back.
func TestCancelTooLate(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{
			Robots: []sandbox.Robot{{Key: "key-a", Name: "a"}},
			Chats:  []sandbox.Chat{{ID: "c1", Name: "one", Users: []string{"load-1", "load-2"}}},
		}, url)
		w.must("PUT", "/v1/robots/room", obj{"webhook_key": "key-a", "base_url": w.base})
		late := map[string]string{
			"en": "message %s is already %s: only what WeCom does not have yet can be cancelled",
			"zh": "消息 %s 的状态已是 %s：只能取消企业微信尚未收到的内容。",
		}
		group := map[string]string{
			"en": late["en"] + ", and what is in a group cannot be taken back, for WeCom gives it no msgid; correct it with another message",
			"zh": "消息 %s 的状态已是 %s：只能取消企业微信尚未收到的内容；群里的消息无法撤回，因为企业微信不为其返回 msgid；请另发一条消息更正。",
		}
		for _, c := range []struct {
			to    obj
			state string
			want  map[string]string
		}{
			{obj{"users": []string{"load-1"}}, "sent", late},
			{obj{"robots": []string{"room"}}, "sent", group},
			{obj{"chats": []string{"c1"}}, "sent", group},
			{obj{"chats": []string{"c1"}, "users": []string{"load-1"}}, "sent", group},
			{obj{"chats": []string{"nowhere"}}, "failed", late},
		} {
			a := w.send(obj{"app": "ops", "type": "text", "content": obj{"content": fmt.Sprint(c.to)}, "to": c.to})
			require.Equal(t, c.state, a.str("state"), "%s", a.raw)
			for lang, want := range c.want {
				for range 2 { // and when it is tried again
					got := w.try("POST", "/v1/messages/"+a.str("id")+"/cancel", nil, "Accept-Language", lang)
					require.Equal(t, 409, got.status)
					require.Equal(t, "conflict", got.str("code"))
					require.Equal(t, fmt.Sprintf(want, a.str("id"), c.state), got.str("detail"))
					require.NotEmpty(t, got.str("fix"))
				}
			}
		}
		waits := w.must("POST", "/v1/messages", obj{"type": "text", "content": obj{"content": "later"}, "to": obj{"robots": []string{"room"}}, "send_at": time.Now().Add(time.Hour)})
		require.Equal(t, "cancelled", w.must("POST", "/v1/messages/"+waits.str("id")+"/cancel", nil).str("state"))
		got := w.try("POST", "/v1/messages/"+waits.str("id")+"/cancel", nil)
		require.Equal(t, fmt.Sprintf(late["en"], waits.str("id"), "cancelled"), got.str("detail"))
	})
}
