package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// png is a real one-pixel image.
const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func TestSevenKindsByNumber(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		file := func(name, b64 string) obj { return obj{"media": obj{"base64": b64, "filename": name}} }
		amr := base64.StdEncoding.EncodeToString([]byte("#!AMR\n" + strings.Repeat("\x0c", 64)))
		mp4 := base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + strings.Repeat("\x00", 64)))
		kinds := []struct {
			name    string
			content obj
		}{
			{"text", obj{"content": "你好，世界"}},
			{"image", file("a.png", png)},
			{"voice", file("a.amr", amr)},
			{"video", file("a.mp4", mp4)},
			{"file", file("报告.csv", base64.StdEncoding.EncodeToString([]byte("a,b\n1,2\n")))},
			{"news", obj{"articles": []obj{{"title": "新闻", "url": "https://example.com/n", "picurl": "https://example.com/p.png"}}}},
			{"textcard", obj{"title": "卡片", "description": "内容", "url": "https://example.com/c"}},
		}
		for number, k := range kinds {
			for _, typ := range []any{number, k.name} {
				a := w.send(obj{"app": "ops", "type": typ, "content": k.content, "to": obj{"users": []string{"zhangsan"}}})
				require.Equal(t, "sent", a.str("state"), "%v: %s", typ, a.raw)
			}
		}
		got := map[string]int{}
		for _, e := range w.wecom.Ledger() {
			got[e.Kind]++
		}
		for _, k := range kinds {
			require.Equal(t, 2, got[k.name], k.name)
		}
		require.EqualValues(t, 4, w.wecom.Counts().ByOp[sandbox.OpUpload], "each file is uploaded once, whoever sends it again")
	})
}

func TestThirteenScenes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.seedScenes()
	list := w.must("GET", "/v1/scenes?limit=200", nil)
	byCode := map[int]obj{}
	for _, item := range list.body["items"].([]any) {
		s := item.(obj)
		if c, ok := s["code"].(float64); ok && c <= 12 {
			byCode[int(c)] = s
		}
	}
	require.Len(t, byCode, 13)
	for code, s := range byCode {
		data := examples(s["variables"])
		for _, ref := range []any{code, s["key"]} {
			a := w.send(obj{"scene": ref, "to": obj{"users": []string{"lisi"}}, "data": data})
			require.Equal(t, "sent", a.str("state"), "%v: %s", ref, a.raw)
		}
	}
	require.Len(t, w.wecom.Inbox("lisi", 100), 26)
}

// examples makes data from the examples of a schema.
func examples(schema any) obj {
	out := obj{}
	s, _ := schema.(obj)
	props, _ := s["properties"].(obj)
	for name, p := range props {
		prop := p.(obj)
		if ex, ok := prop["examples"].([]any); ok && len(ex) > 0 {
			out[name] = ex[0]
		} else if ex, ok := prop["example"]; ok {
			out[name] = ex
		} else if d, ok := prop["default"]; ok {
			out[name] = d
		}
	}
	return out
}

// 912.0 is an integer, as in JSON Schema, and also when the request is read again.
func TestWholeNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	body := func(code string) string {
		return `{"scene": ` + code + `, "safe": 0.0, "to": {"users": ["lisi"]}, "data": {"service": "a", "error": "b"}}`
	}
	a := w.must("POST", "/v1/messages?wait=20s", body("912.0"), "Idempotency-Key", "whole")
	require.Equal(t, "alert", a.str("scene"), "%s", a.raw)
	again := w.must("POST", "/v1/messages", body("9.12e2"), "Idempotency-Key", "whole")
	require.Equal(t, a.str("id"), again.str("id"), "the same JSON value")
	w.must("POST", "/v1/messages/"+a.str("id")+"/resend", obj{"render": "latest", "only": "all"})
	eventually(t, "both are there", func() bool { return len(w.wecom.Inbox("lisi", 10)) == 2 })
}

func TestR17_PartialRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	var users []string
	for i := range 992 {
		users = append(users, fmt.Sprintf("load-%d", i))
	}
	users = append(users, "Nobody1", "noBody2", "NOBODY3", "nobody4", "nobody5", "nobody6", "Nobody7", "wujiu")
	a := w.send(obj{"scene": "alert", "to": obj{"users": users}, "data": obj{"service": "x", "error": "y"}})
	require.Equal(t, "partial", a.str("state"))
	counts := a.body["recipients"].(obj)
	require.EqualValues(t, 1000, counts["total"])
	require.EqualValues(t, 992, counts["accepted"])
	require.EqualValues(t, 8, counts["failed"])
	outcome := map[string]string{}
	path := "/v1/messages/" + a.str("id") + "/recipients?limit=200"
	for next := ""; ; {
		page := w.must("GET", path+"&cursor="+next, nil)
		for _, it := range page.body["items"].([]any) {
			r := it.(obj)
			outcome[r["id"].(string)] = r["outcome"].(string)
		}
		if next = page.str("next_cursor"); next == "" {
			break
		}
	}
	require.Len(t, outcome, 1000)
	require.Equal(t, "invalid", outcome["NOBODY3"], "in the caller's spelling")
	require.Equal(t, "unlicensed", outcome["wujiu"])
	require.Equal(t, "accepted", outcome["load-0"])
	require.EqualValues(t, 1, w.wecom.Counts().Send, "nobody is sent to twice")

	a = w.send(obj{"scene": "alert", "to": obj{"users": []string{"ghost"}}, "data": obj{"service": "x", "error": "y"}})
	require.Equal(t, "failed", a.str("state"))
	require.EqualValues(t, 2, w.wecom.Counts().Send, "81013 is not tried again")
	row := w.must("GET", "/v1/messages/"+a.str("id")+"/recipients", nil).body["items"].([]any)[0].(obj)
	require.Equal(t, "invalid", row["outcome"])
	require.EqualValues(t, 81013, row["errcode"])
}

func TestR32_ColdAndDyingToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	post := func(from, n int) []string {
		ids := make([]string, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				a, err := w.call("POST", "/v1/messages", alert(from+i))
				if err == nil && a.status == 202 {
					ids[i] = a.str("id")
				}
			})
		}
		wg.Wait()
		return ids
	}
	final := func(ids []string) {
		for _, id := range ids {
			require.NotEmpty(t, id, "accepted")
			eventually(t, "message is final", func() bool { return w.message(id).str("state") == "sent" })
		}
	}
	final(post(0, 500))
	require.EqualValues(t, 1, w.wecom.Counts().GetToken, "500 senders on a cold token fetch it once")

	for i, code := range []int{42001, 40014, 41001, 40001} {
		require.NoError(t, w.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Latency: sandbox.Duration(20e6)}))
		before := w.wecom.Counts()
		done := make(chan []string)
		go func() { done <- post(1000*(i+1), 200) }()
		eventually(t, "sends are in flight", func() bool { return w.wecom.Counts().Send > before.Send+20 })
		w.wecom.ExpireTokens(code)
		final(<-done)
		after := w.wecom.Counts()
		require.EqualValues(t, 1, after.GetToken-before.GetToken, "errcode %d: one refetch", code)
		require.EqualValues(t, 200, after.Taken-before.Taken, "errcode %d: nothing lost, nothing doubled", code)
	}
}

func TestR33_MisconfiguredApp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cause string
		secret      string
		fault       int
	}{
		{"wrong secret", "bad_secret", "not-the-secret", 0},
		{"untrusted ip", "untrusted_ip", sandbox.DevSecret, 60020},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sandbox.Options{})
			if c.fault != 0 {
				require.NoError(t, w.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: c.fault}))
			}
			w.must("PUT", "/v1/apps/ops", obj{"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "secret": c.secret, "base_url": w.base})
			var ids []string
			for i := range 50 {
				ids = append(ids, w.must("POST", "/v1/messages", alert(i)).str("id"))
			}
			health := func() obj { return w.must("GET", "/v1/apps/ops", nil).body["health"].(obj) }
			eventually(t, "app is blocked", func() bool { return health()["state"] == "blocked" })
			h := health()
			require.Equal(t, c.cause, h["cause"])
			require.NotEmpty(t, h["fix"])
			if c.fault == 60020 {
				require.NotEmpty(t, h["seen_ip"])
			}
			eventually(t, "messages say why they wait", func() bool { return w.message(ids[49]).str("wait_reason") == "app_blocked" })
			n := w.wecom.Counts()
			require.LessOrEqual(t, n.GetToken+n.Send, int64(5))

			// Mended: the probe comes at once and everything goes out.
			require.NoError(t, w.wecom.SetFaults())
			w.must("PUT", "/v1/apps/ops", obj{"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "secret": sandbox.DevSecret, "base_url": w.base})
			w.must("POST", "/v1/apps/ops/resume", nil)
			for _, id := range ids {
				eventually(t, "held message is sent", func() bool { return w.message(id).str("state") == "sent" })
			}
		})
	}
}

func TestR31_SlowWeCom(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.send(alert(0)) // lane and token are warm
	require.NoError(t, w.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Latency: sandbox.Duration(3e9)}))
	for i := range 100 {
		a := w.must("POST", "/v1/messages", alert(i+1))
		require.Equal(t, 202, a.status, "accepting does not wait for WeCom")
	}
	eventually(t, "calls are in flight", func() bool { return w.wecom.Counts().Send > 1 })
	require.LessOrEqual(t, w.wecom.Counts().MaxFlying, int64(16))
	require.NoError(t, w.wecom.SetFaults())
}

func TestR15_RetriesAreByteEqual(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	require.NoError(t, w.wecom.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Drop: sandbox.Reset, When: sandbox.After, Next: 1}))
	a := w.send(alert(1))
	require.Equal(t, "sent", a.str("state"))
	d := a.body["deliveries"].([]any)[0].(obj)
	attempts := d["attempts"].([]any)
	require.Len(t, attempts, 2)
	require.Equal(t, "ambiguous", attempts[0].(obj)["class"])
	hashes := map[string]int{}
	for _, e := range w.wecom.Ledger() {
		hashes[e.BodySHA256]++
	}
	require.Len(t, hashes, 1, "every attempt had the same bytes")
	require.Len(t, w.wecom.Inbox("load-1", 10), 1, "the member saw it once")
}

func TestHonestRepeatsBothArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	for range 2 {
		require.Equal(t, "sent", w.send(alert(7)).str("state"))
	}
	require.Len(t, w.wecom.Inbox("load-7", 10), 2)
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		first := w.must("POST", "/v1/messages", alert(1), "Idempotency-Key", "k1")
		again := w.must("POST", "/v1/messages", alert(1), "Idempotency-Key", "k1")
		require.Equal(t, first.str("id"), again.str("id"))
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		other := w.try("POST", "/v1/messages", alert(2), "Idempotency-Key", "k1")
		require.Equal(t, 422, other.status)
		require.Equal(t, "idempotency_mismatch", other.str("code"))
		eventually(t, "sent", func() bool { return w.message(first.str("id")).str("state") == "sent" })
		require.Len(t, w.wecom.Inbox("load-1", 10), 1)

		batch := obj{"messages": []any{alert(3), obj{"scene": "nope"}, alert(4)}}
		one := w.must("POST", "/v1/messages/batch", batch, "Idempotency-Key", "b1")
		two := w.must("POST", "/v1/messages/batch", batch, "Idempotency-Key", "b1")
		ids := func(a answer) (out []any) {
			for _, it := range a.body["items"].([]any) {
				out = append(out, it.(obj)["status"], it.(obj)["id"])
			}
			return out
		}
		require.Equal(t, ids(one), ids(two), "a repeat gets the first answer")

		// What could not be accepted any more was accepted all the same.
		resend := "/v1/messages/" + first.str("id") + "/resend"
		resent := w.must("POST", resend, obj{"render": "latest", "only": "all"}, "Idempotency-Key", "r1").str("id")
		w.must("DELETE", "/v1/scenes/alert", nil)
		require.Equal(t, 422, w.try("POST", "/v1/messages", alert(1)).status)
		again = w.must("POST", "/v1/messages", alert(1), "Idempotency-Key", "k1")
		require.Equal(t, first.str("id"), again.str("id"))
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		require.Equal(t, ids(one), ids(w.must("POST", "/v1/messages/batch", batch, "Idempotency-Key", "b1")))
		require.Equal(t, resent, w.must("POST", resend, obj{"render": "latest", "only": "all"}, "Idempotency-Key", "r1").str("id"))
		require.Equal(t, 422, w.try("POST", "/v1/messages", alert(2), "Idempotency-Key", "k1").status)
	})
}

func TestR11_SameKeyManyPosts(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		var mu sync.Mutex
		ids := map[string]int{}
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for range 32 {
					a, err := w.call("POST", "/v1/messages", alert(1), "Idempotency-Key", "same")
					mu.Lock()
					if err == nil && a.status == 202 {
						ids[a.str("id")]++
					} else {
						ids[fmt.Sprintf("status %d %v", a.status, err)]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Len(t, ids, 1, "one message: %v", ids)
		eventually(t, "it arrives", func() bool { return len(w.wecom.Inbox("load-1", 10)) == 1 })
	})
}

func TestDryRunEqualsWhatIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	req := alert(5)
	req["dry_run"] = true
	dry := w.must("POST", "/v1/messages", req)
	require.Equal(t, 200, dry.status)
	d := dry.body["deliveries"].([]any)[0].(obj)
	require.EqualValues(t, len(d["body"].(string)), d["bytes"])
	require.Empty(t, w.must("GET", "/v1/messages", nil).body["items"], "nothing is stored")
	var body obj
	require.NoError(t, json.Unmarshal([]byte(d["body"].(string)), &body))
	require.Equal(t, "load-5", body["touser"])
}
