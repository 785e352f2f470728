package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// seedDigest makes a scene whose messages are merged by service. policy adds
// to or replaces parts of the digest policy.
func (w *world) seedDigest(window string, policy obj) {
	w.t.Helper()
	digest := obj{"key": "{{ .data.service }}", "window": window}
	for k, v := range policy {
		digest[k] = v
	}
	w.must("PUT", "/v1/scenes/noise", obj{
		"app": "ops", "to": obj{"users": []string{"zhangsan"}},
		"content": obj{"type": "text", "text": obj{"content": "{{ .data.service }}: {{ .data.text }}"}},
		"policy":  obj{"digest": digest},
	})
}

// noise sends one message of the digest scene and returns its id.
func (w *world) noise(service, text string, more ...any) string {
	w.t.Helper()
	req := obj{"scene": "noise", "data": obj{"service": service, "text": text}}
	for i := 0; i+1 < len(more); i += 2 {
		req[more[i].(string)] = more[i+1]
	}
	return w.must("POST", "/v1/messages", req).str("id")
}

func (w *world) becomes(id, state string) answer {
	w.t.Helper()
	var m answer
	eventually(w.t, id+" becomes "+state, func() bool { m = w.message(id); return m.str("state") == state })
	return m
}

// texts lists what a member's phone shows, oldest first.
func (w *world) texts(member string) (out []string) {
	for _, e := range w.wecom.Inbox(member, 100) {
		var c struct{ Content string }
		require.NoError(w.t, json.Unmarshal(e.Content, &c))
		out = append(out, c.Content)
	}
	return out
}

func TestDigestFirstAtOnceThenOne(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.seedDigest("2s", nil)
		first := w.noise("billing", "fault 0")
		w.becomes(first, "sent")
		var rest []string
		for i := range 5 {
			rest = append(rest, w.noise("billing", fmt.Sprintf("fault %d", i%2)))
		}
		other := w.noise("login", "fault")
		w.becomes(other, "sent") // another key does not wait
		m := w.message(rest[0])
		if m.str("state") == "queued" {
			require.Equal(t, "digest_window", m.str("wait_reason"))
			require.NotEmpty(t, m.str("next_attempt_at"))
		}
		digest := ""
		for _, id := range rest {
			m := w.becomes(id, "merged")
			if digest == "" {
				digest = m.str("merged_into")
			}
			require.Equal(t, digest, m.str("merged_into"), "one digest for all")
			require.EqualValues(t, 1, m.body["recipients"].(obj)["merged"])
			r := w.must("GET", "/v1/messages/"+id+"/recipients", nil).body["items"].([]any)[0].(obj)
			require.Equal(t, "merged", r["outcome"])
			require.Contains(t, w.timeline(id), "message.merged")
		}
		d := w.becomes(digest, "sent")
		require.Equal(t, "digest", d.str("source"))
		require.EqualValues(t, 5, d.body["merged_count"])
		link := d.body["links"].(obj)["merged"].(string)
		require.Len(t, w.must("GET", link, nil).body["items"], 5)
		require.Len(t, w.must("GET", "/v1/messages?scene=noise&state=merged", nil).body["items"], 5)
		texts := w.texts("zhangsan")
		require.Len(t, texts, 3)
		require.Contains(t, texts[2], "5 条消息合并")
		require.Contains(t, texts[2], "billing: fault 0 ×3")
		require.Contains(t, texts[2], "billing: fault 1 ×2")
	})
}

func TestDigestOfOneGoesAsItself(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.seedDigest("1s", nil)
		w.becomes(w.noise("billing", "one"), "sent")
		id := w.noise("billing", "two")
		m := w.becomes(id, "sent")
		require.Nil(t, m.body["merged_into"])
		require.Equal(t, []string{"billing: one", "billing: two"}, w.texts("zhangsan"))
		require.Empty(t, w.must("GET", "/v1/messages?source=digest", nil).body["items"])
	})
}

func TestDigestRecoveryCloses(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.seedDigest("10m", obj{"closes": `{{ eq .data.text "resolved" }}`})
		w.becomes(w.noise("billing", "fault 1"), "sent")
		waits := []string{w.noise("billing", "fault 2"), w.noise("billing", "fault 3")}
		eventually(t, "they wait", func() bool { return w.message(waits[1]).str("wait_reason") == "digest_window" })
		end := w.noise("billing", "resolved")
		digest := w.becomes(end, "merged").str("merged_into")
		for _, id := range waits {
			require.Equal(t, digest, w.becomes(id, "merged").str("merged_into"))
		}
		w.becomes(digest, "sent")
		w.becomes(w.noise("billing", "fault 4"), "sent") // the window is over: at once again
		require.Len(t, w.texts("zhangsan"), 3)
		alone := w.noise("login", "resolved")
		require.Nil(t, w.becomes(alone, "sent").body["merged_into"], "with nothing to close it goes as it is")
	})
}

func TestDigestCancelOfOneThatWaits(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.seedDigest("3s", nil)
		w.becomes(w.noise("billing", "fault 1"), "sent")
		a, b, c := w.noise("billing", "fault 2"), w.noise("billing", "fault 3"), w.noise("billing", "fault 4")
		require.Equal(t, "cancelled", w.must("POST", "/v1/messages/"+b+"/cancel", nil).str("state"))
		digest := w.becomes(a, "merged").str("merged_into")
		w.becomes(c, "merged")
		require.EqualValues(t, 2, w.becomes(digest, "sent").body["merged_count"])
		require.NotContains(t, strings.Join(w.texts("zhangsan"), "\n"), "fault 3")
		require.Equal(t, "cancelled", w.message(b).str("state"))
	})
}

func TestDigestKeyOfTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.seedDigest("10m", nil)
	w.becomes(w.noise("billing", "one", "digest_key", "mine"), "sent")
	id := w.noise("login", "two", "digest_key", "mine")
	eventually(t, "it joins the window of the request's key", func() bool { return w.message(id).str("wait_reason") == "digest_window" })
	require.Equal(t, "mine", w.message(id).str("digest_key"))
	w.becomes(w.noise("login", "three"), "sent") // the scene's key is another one
}

func TestDigestLooksLikeTheSceneSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.seedDigest("2s", obj{"first": "wait", "content": obj{"type": "textcard", "textcard": obj{
		"title": "{{ .count }} alerts of {{ .scene.key }}", "description": "{{ range .items }}{{ .text }};{{ end }}", "url": "https://ops.example.com/",
	}}})
	a := w.noise("billing", "one")
	eventually(t, "the first waits, too", func() bool { return w.message(a).str("wait_reason") == "digest_window" })
	w.noise("billing", "two")
	d := w.becomes(w.becomes(a, "merged").str("merged_into"), "sent")
	require.Equal(t, "textcard", d.str("type"))
	inbox := w.wecom.Inbox("zhangsan", 10)
	require.Len(t, inbox, 1)
	require.Contains(t, string(inbox[0].Content), "2 alerts of noise")
	require.Contains(t, string(inbox[0].Content), "billing: one;billing: two;")
}

func TestDigestFirstOfSeveralPartsGoesWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.seedDigest("10m", nil)
	m := w.becomes(w.noise("billing", strings.Repeat("长", 1500)), "sent")
	require.Len(t, m.body["deliveries"], 3)
	require.Len(t, w.texts("zhangsan"), 3)
}

func TestDigestFirstIsRetriedInItsWindow(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		w.seedDigest("10m", nil)
		require.NoError(t, w.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: -1, Next: 1}))
		m := w.becomes(w.noise("billing", "one"), "sent")
		require.Len(t, m.body["deliveries"].([]any)[0].(obj)["attempts"], 2)
	})
}
