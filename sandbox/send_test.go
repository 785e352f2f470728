package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

func message(kind, content string) string {
	return fmt.Sprintf(`{"touser":"zhangsan","msgtype":%q,"agentid":1000002,%q:%s}`, kind, kind, content)
}

func bars(n int, format string) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(ids, "|")
}

func TestSendErrcodes(t *testing.T) {
	long := "https://e.example/" + strings.Repeat("a", 2048)
	article := `{"title":"t","url":"https://e.example"}`
	cases := []struct {
		name string
		body string
		code int
	}{
		{"no agentid", `{"touser":"zhangsan","msgtype":"text","text":{"content":"x"}}`, 41011},
		{"bad agentid", `{"touser":"zhangsan","msgtype":"text","agentid":"x","text":{"content":"x"}}`, 40056},
		{"other agentid", `{"touser":"zhangsan","msgtype":"text","agentid":1000003,"text":{"content":"x"}}`, 301002},
		{"no kind", `{"touser":"zhangsan","agentid":1000002}`, 40008},
		{"unknown kind", message("hologram", `{}`), 40008},
		{"agentid before kind", `{"touser":"zhangsan","msgtype":"hologram"}`, 41011},
		{"kind before receivers", `{"msgtype":"hologram","agentid":1000002}`, 40008},
		{"body before receivers", `{"msgtype":"text","agentid":1000002,"text":{}}`, 44004},
		{"no receivers", `{"msgtype":"text","agentid":1000002,"text":{"content":"x"}}`, 82001},
		{"1001 users", text(bars(1001, "u%d"), "x"), 40032},
		{"101 parties", `{"toparty":"` + bars(101, "%d") + `","msgtype":"text","agentid":1000002,"text":{"content":"x"}}`, 82002},
		{"101 tags", `{"totag":"` + bars(101, "%d") + `","msgtype":"text","agentid":1000002,"text":{"content":"x"}}`, 82003},
		{"all invalid", text("nobody|Zhouba", "x"), 81013},
		{"only unlicensed", text("wujiu", "x"), 81013},
		{"empty text", text("zhangsan", ""), 44004},
		{"markdown at the limit", message("markdown", `{"content":"`+strings.Repeat("m", 2048)+`"}`), 0},
		{"markdown over it", message("markdown", `{"content":"`+strings.Repeat("m", 2049)+`"}`), 40058},
		{"image without id", message("image", `{}`), 41006},
		{"image with unknown id", message("image", `{"media_id":"nope"}`), 40007},
		{"card without title", message("textcard", `{"description":"d","url":"https://e.example"}`), 41016},
		{"card without description", message("textcard", `{"title":"t","url":"https://e.example"}`), 41033},
		{"card without url", message("textcard", `{"title":"t","description":"d"}`), 41010},
		{"card without scheme", message("textcard", `{"title":"t","description":"d","url":"e.example"}`), 45034},
		{"card with long url", message("textcard", `{"title":"t","description":"d","url":"`+long+`"}`), 40039},
		{"no articles", message("news", `{"articles":[]}`), 45008},
		{"eight articles", message("news", `{"articles":[`+strings.Repeat(article+",", 7)+article+`]}`), 0},
		{"nine articles", message("news", `{"articles":[`+strings.Repeat(article+",", 8)+article+`]}`), 45008},
		{"article without title", message("news", `{"articles":[{"url":"https://e.example"}]}`), 41016},
		{"article without url", message("news", `{"articles":[{"title":"t"}]}`), 41010},
		{"article of a mini program", message("news", `{"articles":[{"title":"t","appid":"wx1","pagepath":"p"}]}`), 0},
		{"safe news", `{"touser":"zhangsan","msgtype":"news","agentid":1000002,"safe":1,"news":{"articles":[` + article + `]}}`, 40074},
		{"mpnews without thumb", message("mpnews", `{"articles":[{"title":"t","content":"c"}]}`), 41006},
		{"mpnews with long author", message("mpnews", `{"articles":[{"title":"t","content":"c","author":"`+strings.Repeat("a", 65)+`"}]}`), 45032},
		{"mpnews too large", message("mpnews", `{"articles":[{"title":"t","content":"`+strings.Repeat("c", 666<<10+1)+`"}]}`), 45002},
		{"mini program to all", `{"touser":"@all","msgtype":"miniprogram_notice","agentid":1000002,"miniprogram_notice":{"appid":"wx1","title":"标题四字"}}`, 40058},
		{"card kind", message("template_card", `{"card_type":"poem"}`), 42031},
		{"notice without action", message("template_card", `{"card_type":"text_notice","main_title":{"title":"t"}}`), 42045},
		{"notice", message("template_card", `{"card_type":"text_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"https://e.example"}}`), 0},
		{"picture without picture", message("template_card", `{"card_type":"news_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"u"}}`), 42044},
		{"buttons without task", message("template_card", `{"card_type":"button_interaction","main_title":{"title":"t"},"button_list":[{"text":"a","key":"k"}]}`), 42014},
		{"buttons with one key twice", message("template_card", `{"card_type":"button_interaction","task_id":"x","main_title":{"title":"t"},"button_list":[{"text":"a","key":"k"},{"text":"b","key":"k"}]}`), 42039},
		{"vote without button", message("template_card", `{"card_type":"vote_interaction","task_id":"x","main_title":{"title":"t"},"checkbox":{"question_key":"q","option_list":[{"id":"1","text":"a"}]}}`), 42049},
		{"four selects", message("template_card", `{"card_type":"multiple_interaction","task_id":"x","main_title":{"title":"t"},"select_list":[{},{},{},{}]}`), 42047},
		{"seven rows", message("template_card", `{"card_type":"text_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"u"},"horizontal_content_list":[{},{},{},{},{},{},{}]}`), 42035},
	}
	r := newRig(t, sandbox.Options{})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := (&rig{T: t, sim: r.sim, url: r.url, tok: r.token()}).send(c.body)
			require.Equal(t, c.code, a.Errcode, a.Errmsg)
			if c.code == 0 {
				require.Equal(t, "ok", a.Errmsg)
				return
			}
			require.Regexp(t, fmt.Sprintf(`^.+, hint: \[\d{25}\], from ip: 127\.0\.0\.1, more info at https://open\.work\.weixin\.qq\.com/devtool/query\?e=%d$`, c.code), a.Errmsg)
			require.Equal(t, fmt.Sprint(c.code), a.header.Get("Error-Code"))
			require.Equal(t, a.Errmsg, a.header.Get("Error-Msg"))
		})
	}
}

func TestSendAllInvalidCarriesLists(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	a := r.send(`{"touser":"NoBody","toparty":"99","totag":"98","msgtype":"text","agentid":1000002,"text":{"content":"x"}}`)
	require.Equal(t, 81013, a.Errcode)
	require.Equal(t, []string{"nobody", "99", "98"}, []string{a.InvalidUser, a.InvalidParty, a.InvalidTag})
	require.Empty(t, r.sim.Ledger())

	lenient := newRig(t, sandbox.Options{AllInvalidOK: true})
	a = lenient.send(text("NoBody", "x"))
	require.Zero(t, a.Errcode)
	require.Equal(t, "nobody", a.InvalidUser)
}

func TestSendResolvesReceiversOnce(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	a := r.send(`{"touser":"LISI|lisi","toparty":"2|5|77","totag":"7","msgtype":"text","agentid":1000002,"text":{"content":"x"}}`)
	require.Zero(t, a.Errcode)
	require.Equal(t, "77", a.InvalidParty)
	require.Equal(t, []string{"lisi", "zhangsan", "sunqi", "wangwu"}, r.sim.Ledger()[0].Users)

	a = r.send(`{"touser":"@all","toparty":"77","msgtype":"text","agentid":1000002,"text":{"content":"x"}}`)
	require.Zero(t, a.Errcode)
	require.Empty(t, a.InvalidParty, "toparty is ignored with @all")
	require.Len(t, r.sim.Ledger()[1].Users, 6)
}

func TestSendCuts(t *testing.T) {
	cases := []struct {
		name, body, field string
		bytes, runes      int
		opt               sandbox.Options
	}{
		{"text in bytes, never inside a rune", message("text", `{"content":"`+strings.Repeat("字", 700)+`"}`), "content", 2046, 682, sandbox.Options{}},
		{"text with emoji", message("text", `{"content":"`+strings.Repeat("😀", 513)+`"}`), "content", 2048, 512, sandbox.Options{}},
		{"card title in characters", message("textcard", `{"title":"`+strings.Repeat("题", 130)+`","description":"d","url":"https://e.example"}`), "title", 384, 128, sandbox.Options{}},
		{"card title in bytes", message("textcard", `{"title":"`+strings.Repeat("题", 130)+`","description":"d","url":"https://e.example"}`), "title", 126, 42, sandbox.Options{CardBytes: true}},
		{"card button", message("textcard", `{"title":"t","description":"d","url":"https://e.example","btntxt":"一二三四五"}`), "btntxt", 12, 4, sandbox.Options{}},
		{"markdown, cutting variant", message("markdown", `{"content":"`+strings.Repeat("m", 3000)+`"}`), "content", 2048, 2048, sandbox.Options{MarkdownCut: true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.opt)
			a := r.send(c.body)
			require.Zero(t, a.Errcode, a.Errmsg)
			e := r.sim.Ledger()[0]
			require.Equal(t, []string{c.field}, e.Cut)
			var shown map[string]string
			require.NoError(t, json.Unmarshal(e.Content, &shown))
			require.Len(t, shown[c.field], c.bytes)
			require.Equal(t, c.runes, utf8.RuneCountInString(shown[c.field]))
			require.True(t, utf8.ValidString(shown[c.field]))
		})
	}
}

func TestSendWarnsOfUncleanJSON(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	for _, body := range []string{
		`{"touser":"zhangsan","msgtype":"text","agentid":"1000002","text":{"content":"x"},"safe":"0"}`,
		`{"touser":"zhangsan","msgtype":"text","agentid":1000002,"text":{"content":"x"}} trailing`,
		`{"touser":"zhangsan","msgtype":"text","agentid":1000002,"text":{"content":"x"},"safe":"0"`,
	} {
		a := r.send(body)
		require.Zero(t, a.Errcode, a.Errmsg)
		require.Equal(t, "ok. Warning: wrong json format. ", a.Errmsg)
	}
	a := r.send(`not json`)
	require.Equal(t, 41011, a.Errcode)
	require.True(t, strings.HasPrefix(a.Errmsg, "Warning: wrong json format. agentid missing"), a.Errmsg)
	require.True(t, r.sim.Ledger()[0].Warning)
}

func TestSendByGet(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	require.Equal(t, 40058, r.get("/cgi-bin/message/send", url.Values{"access_token": {r.token()}}).Errcode)
}

func TestCardAnswersResponseCode(t *testing.T) {
	buttons := message("template_card", `{"card_type":"button_interaction","task_id":"x","main_title":{"title":"t"},"button_list":[{"text":"a","key":"k"}]}`)
	require.NotEmpty(t, newRig(t, sandbox.Options{}).send(buttons).ResponseCode)
	mute := sandbox.Options{Apps: []sandbox.App{{AgentID: sandbox.DevAgentID, Secret: sandbox.DevSecret, NoCallback: true}}}
	require.Equal(t, 43012, newRig(t, mute).send(buttons).Errcode)
}

func TestNoOp(t *testing.T) {
	r := newRig(t, sandbox.Options{NoOp: true})
	require.Zero(t, r.send(`anything`).Errcode)
	require.Empty(t, r.sim.Ledger())
	require.EqualValues(t, 1, r.sim.Counts().Taken)
}

func FuzzSend(f *testing.F) {
	for _, seed := range []string{
		text("zhangsan", "hi"), message("news", `{"articles":[{}]}`), `{"touser":[1],"msgtype":7}`, `[`, `{"a":`, "\xff",
		message("template_card", `{"card_type":"vote_interaction","checkbox":{"option_list":[{"id":1}]}}`), message("textcard", `{"title":"é","url":"http://"}`),
	} {
		f.Add([]byte(seed))
	}
	sim := sandbox.New(sandbox.Options{Seed: 1})
	defer sim.Close()
	get := httptest.NewRecorder()
	sim.ServeHTTP(get, httptest.NewRequest(http.MethodGet, "/cgi-bin/gettoken?corpid="+sandbox.DevCorpID+"&corpsecret="+sandbox.DevSecret, nil))
	var tok answer
	if err := json.Unmarshal(get.Body.Bytes(), &tok); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := sim.Counts().Taken
		w := httptest.NewRecorder()
		sim.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/cgi-bin/message/send?access_token="+tok.AccessToken, strings.NewReader(string(body))))
		require.Equal(t, http.StatusOK, w.Code)
		var a answer
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), "answer %s", w.Body)
		after := sim.Counts().Taken
		if a.Errcode == 0 {
			require.Equal(t, before+1, after)
			newest := sim.Ledger()
			require.True(t, json.Valid(newest[len(newest)-1].Content))
		} else {
			require.Equal(t, before, after)
			require.NotContains(t, a.Errmsg, "\n")
		}
	})
}
