package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

var onCall = sandbox.Chat{ID: "C1", Name: "值班", Users: []string{"lisi", "wangwu", "zhouba"}}

func (r *rig) app(path, body string) answer {
	r.Helper()
	return r.call(path+"?access_token="+r.token(), body)
}

func toChat(id, content string) string {
	return fmt.Sprintf(`{"chatid":%q,"msgtype":"text","text":{"content":%q}}`, id, content)
}

func (r *rig) chat(id string) (answer, map[string]any) {
	r.Helper()
	res, err := http.Get(r.url + "/cgi-bin/appchat/get?access_token=" + r.token() + "&chatid=" + id)
	require.NoError(r, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(r, err)
	var a answer
	var v struct {
		Info map[string]any `json:"chat_info"`
	}
	require.NoError(r, json.Unmarshal(raw, &a))
	require.NoError(r, json.Unmarshal(raw, &v))
	return a, v.Info
}

func TestChatSend(t *testing.T) {
	r := newRig(t, sandbox.Options{Chats: []sandbox.Chat{onCall}})
	a := r.app("appchat/send", toChat("C1", "盘点"))
	require.Zero(t, a.Errcode, a.Errmsg)
	require.Equal(t, "ok", a.Errmsg)
	require.Empty(t, a.MsgID, "nothing to recall")
	entry := r.sim.Ledger()[0]
	require.Equal(t, sandbox.OpChatSend, entry.Op)
	require.Equal(t, "C1", entry.Chat)
	require.Equal(t, sandbox.DevAgentID, entry.AgentID)
	require.Equal(t, []string{"lisi", "wangwu"}, entry.Users, "zhouba is disabled")
	require.JSONEq(t, `{"content":"盘点"}`, string(entry.Content))
	require.Empty(t, r.sim.Inbox("lisi", 10), "a group is no conversation with the app")
	require.EqualValues(t, 2, r.sim.Counts().Delivered)
	require.Equal(t, "C1", r.sim.Calls()[1].To)
	_, v := r.control("GET", "ledger?chat=C1", "")
	require.Len(t, v["items"], 1)

	for body, code := range map[string]int{
		`{"msgtype":"text","text":{"content":"x"}}`: 86201,
		toChat("C2", "x"):                       86003,
		toChat("C1", ""):                        44004,
		toChat("C1", strings.Repeat("x", 2049)): 0,
		`{"chatid":"C1","msgtype":"template_card","template_card":{}}`:                                    40008,
		`{"chatid":"C1","msgtype":"miniprogram_notice","miniprogram_notice":{}}`:                          40008,
		`{"chatid":"C1","msgtype":"markdown_v2","markdown_v2":{"content":"x"}}`:                           40008,
		`{"chatid":"C1","msgtype":"file","file":{"media_id":"x"}}`:                                        40007,
		`{"chatid":"C1","msgtype":"textcard","textcard":{"title":"t","description":"d"}}`:                 41010,
		`{"chatid":"C1","msgtype":"text","text":{"content":"x"},"safe":1}`:                                0,
		`{"chatid":"C1","msgtype":"news","safe":1,"news":{"articles":[{"title":"t"}]}}`:                   40074,
		`{"chatid":"C1","msgtype":"markdown","markdown":{"content":"` + strings.Repeat("m", 2049) + `"}}`: 40058,
	} {
		a := r.app("appchat/send", body)
		require.Equal(t, code, a.Errcode, "%.120s: %s", body, a.Errmsg)
	}
	require.Equal(t, 40014, r.call("appchat/send?access_token=dead", toChat("C1", "x")).Errcode)
	require.Equal(t, 41001, r.call("appchat/send", toChat("C1", "x")).Errcode)
	other := newRig(t, sandbox.Options{UnknownChatErrcode: 40050})
	require.Equal(t, 40050, other.app("appchat/send", toChat("C1", "x")).Errcode)
}

func TestChatsBelongToOneApp(t *testing.T) {
	apps := []sandbox.App{{AgentID: 1, Secret: "one"}, {AgentID: 2, Secret: "two"}, {AgentID: 3, Secret: "three", Visible: &sandbox.Range{Departments: []int{3}}}}
	r := newRig(t, sandbox.Options{Apps: apps, Chats: []sandbox.Chat{onCall}})
	for secret, code := range map[string]int{"one": 0, "two": 86008, "three": 48002} {
		r.tok = r.getToken(sandbox.DevCorpID, secret).AccessToken
		require.Equal(t, code, r.app("appchat/send", toChat("C1", "x")).Errcode, secret)
		a, _ := r.chat("C1")
		require.Equal(t, code, a.Errcode, secret)
		require.Equal(t, code, r.app("appchat/update", `{"chatid":"C1","name":"n"}`).Errcode, secret)
	}
	r.tok = r.getToken(sandbox.DevCorpID, "three").AccessToken
	require.Equal(t, 48002, r.app("appchat/create", `{"userlist":["wangwu","zhouba"]}`).Errcode)
}

func TestChatCreateUpdateGet(t *testing.T) {
	r := newRig(t, sandbox.Options{MembersPattern: regexp.MustCompile(`load-\d+`)})
	a := r.app("appchat/create", `{"name":"`+strings.Repeat("群", 51)+`","owner":"LISI","userlist":["lisi","WANGWU","lisi"],"chatid":"C1"}`)
	require.Zero(t, a.Errcode, a.Errmsg)
	_, info := r.chat("C1")
	require.Equal(t, map[string]any{"chatid": "C1", "name": strings.Repeat("群", 50), "owner": "LISI", "userlist": []any{"lisi", "wangwu"}, "chat_type": 0.0}, info)

	require.Zero(t, r.app("appchat/update", `{"chatid":"C1","name":"新","owner":"zhangsan","add_user_list":["zhangsan"],"del_user_list":["Lisi"]}`).Errcode)
	_, info = r.chat("C1")
	require.Equal(t, map[string]any{"chatid": "C1", "name": "新", "owner": "zhangsan", "userlist": []any{"wangwu", "zhangsan"}, "chat_type": 0.0}, info)

	list := func(n int) string { return `["` + strings.ReplaceAll(bars(n, "load-%d"), "|", `","`) + `"]` }
	for body, code := range map[string]int{
		`{"chatid":"C1","userlist":["lisi","wangwu"]}`:                              86215,
		`{"chatid":"C_1","userlist":["lisi","wangwu"]}`:                             86001,
		`{"chatid":"` + strings.Repeat("a", 33) + `","userlist":["lisi","wangwu"]}`: 86001,
		`{"chatid":"` + strings.Repeat("a", 32) + `","userlist":["lisi","wangwu"]}`: 0,
		`{"userlist":["lisi"]}`:                             86006,
		`{"userlist":["lisi","LISI"]}`:                      86006,
		`{"userlist":["lisi","nobody"]}`:                    86216,
		`{"userlist":["lisi","zhouba"]}`:                    86216,
		`{"userlist":["lisi","wangwu"],"owner":"zhangsan"}`: 86216,
		`{"userlist":` + list(2000) + `}`:                   0,
		`{"userlist":` + list(2001) + `}`:                   86006,
	} {
		a := r.app("appchat/create", body)
		require.Equal(t, code, a.Errcode, "%.120s: %s", body, a.Errmsg)
	}
	require.Equal(t, 86006, r.app("appchat/update", `{"chatid":"C1","del_user_list":["zhangsan"]}`).Errcode)
	require.Equal(t, 86003, r.app("appchat/update", `{"chatid":"C9"}`).Errcode)
	got, _ := r.chat("C9")
	require.Equal(t, 86003, got.Errcode)
	require.Len(t, r.sim.Chats(), 3)
	for _, c := range r.sim.Chats() {
		require.Regexp(t, `^[0-9A-Za-z]{1,32}$`, c.ID)
	}
	require.Zero(t, r.app("appchat/send", toChat("C1", "x")).Errcode)
	r.sim.Reset()
	require.Empty(t, r.sim.Chats())

	code, _ := r.control("PUT", "chats", `{"chatid":"D1","userlist":["lisi","wangwu"]}`)
	require.Equal(t, 200, code)
	code, _ = r.control("PUT", "chats", `{"chatid":"D2","userlist":["lisi"]}`)
	require.Equal(t, 400, code)
	_, v := r.control("GET", "chats", "")
	require.Equal(t, []any{map[string]any{"chatid": "D1", "name": "", "owner": "lisi", "userlist": []any{"lisi", "wangwu"}, "agentid": 1000002.0}}, v["items"])
}

func TestChatMemberLimitsAreSilent(t *testing.T) {
	for window, free := range map[sandbox.Window]time.Duration{sandbox.WindowSliding: time.Minute, sandbox.WindowCalendar: 20 * time.Second} {
		t.Run(string(window), func(t *testing.T) {
			c := newClock(22, 0, 40)
			two := sandbox.Chat{ID: "C2", Users: []string{"Lisi", "zhangsan"}}
			r := newRig(t, sandbox.Options{Now: c.now, Window: window, ChatMemberPerMinute: 3, ChatMemberPerDay: 5, Chats: []sandbox.Chat{onCall, two}})
			send := func(id string) sandbox.Entry {
				a := r.app("appchat/send", toChat(id, "x"))
				require.Zero(t, a.Errcode, a.Errmsg)
				all := r.sim.Ledger()
				return all[len(all)-1]
			}
			send("C1")
			send("C1")
			send("C2")
			over := send("C2")
			require.Equal(t, []string{"lisi"}, over.Dropped, "over all chats of the app")
			require.Equal(t, []string{"zhangsan"}, over.Users)
			require.EqualValues(t, 1, r.sim.Counts().Dropped)
			r.sendMany(1, "lisi") // the conversation with the app has limits of its own
			require.EqualValues(t, 1, r.sim.Counts().Dropped)
			c.move(free)
			require.Empty(t, send("C1").Dropped)
			require.Empty(t, send("C1").Dropped)
			c.move(time.Minute)
			require.Equal(t, []string{"lisi"}, send("C1").Dropped, "the day is full")
			c.move(2 * time.Hour)
			r.tok = ""
			if window == sandbox.WindowCalendar {
				require.Empty(t, send("C1").Dropped)
			} else {
				require.Equal(t, []string{"lisi", "wangwu"}, send("C1").Dropped)
			}
		})
	}
}

func TestChatPersonTimes(t *testing.T) {
	c := newClock(10, 0, 0)
	r := newRig(t, sandbox.Options{Now: c.now, ChatPersonsPerMinute: 4, ChatPersonsPerHour: 8, Chats: []sandbox.Chat{onCall}})
	code := func() int { return r.app("appchat/send", toChat("C1", "x")).Errcode }
	require.Zero(t, code())
	require.Zero(t, code())
	require.Equal(t, 45009, code(), "two persons each")
	require.Len(t, r.sim.Ledger(), 2)
	c.move(59 * time.Second)
	require.Equal(t, 45009, code())
	c.move(time.Second)
	require.Zero(t, code())
	c.move(time.Minute)
	require.Zero(t, code())
	c.move(time.Minute)
	require.Equal(t, 45009, code(), "the hour is full")
	c.move(59 * time.Minute)
	require.Equal(t, 45009, code(), "blocked for an hour")
	c.move(time.Minute)
	require.Zero(t, code())
	require.Zero(t, r.send(text("lisi", "x")).Errcode)
}

func TestChatFaults(t *testing.T) {
	r := newRig(t, sandbox.Options{Chats: []sandbox.Chat{onCall}})
	require.NoError(t, r.sim.SetFaults(
		sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpChatGet, Group: "C1"}, Errcode: 45009},
		sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpChatSend, Group: "C2"}, Errcode: -1},
		sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpChatSend, Kind: "text"}, Errcode: -1, When: sandbox.After, Next: 1}))
	a, _ := r.chat("C1")
	require.Equal(t, 45009, a.Errcode)
	require.Equal(t, -1, r.app("appchat/send", toChat("C1", "x")).Errcode)
	require.Len(t, r.sim.Ledger(), 1)
	require.Zero(t, r.app("appchat/send", toChat("C1", "x")).Errcode)
	require.Equal(t, 40058, r.get("/cgi-bin/appchat/send", url.Values{"access_token": {r.token()}}).Errcode)
}
