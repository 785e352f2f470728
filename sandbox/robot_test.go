package sandbox_test

import (
	"bytes"
	"crypto/md5" //nolint:gosec // WeCom asks for it
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
	"hongyan/wecom"
)

func (r *rig) call(path, body string) answer {
	r.Helper()
	res, err := http.Post(r.url+"/cgi-bin/"+path, "application/json", strings.NewReader(body))
	require.NoError(r, err)
	return r.decode(res)
}

func (r *rig) robot(body string) answer {
	r.Helper()
	return r.call("webhook/send?key="+sandbox.DevRobotKey, body)
}

func said(kind, content string) string {
	return fmt.Sprintf(`{"msgtype":%q,%q:%s}`, kind, kind, content)
}

func picture(raw string) string {
	sum := md5.Sum([]byte(raw)) //nolint:gosec // WeCom asks for it
	return fmt.Sprintf(`{"base64":%q,"md5":%q}`, base64.StdEncoding.EncodeToString([]byte(raw)), hex.EncodeToString(sum[:]))
}

func TestRobotSend(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	res, err := http.Post(r.url+"/cgi-bin/webhook/send?key="+sandbox.DevRobotKey, "application/json", strings.NewReader(said("text", `{"content":"构建失败","mentioned_list":["zhangsan","@all"]}`)))
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"errcode":0,"errmsg":"ok"}`, string(raw), "no msgid")

	entry := r.sim.Ledger()[0]
	require.Equal(t, sandbox.OpRobotSend, entry.Op)
	require.Equal(t, "运维群", entry.Robot)
	require.Empty(t, entry.Users)
	require.Empty(t, entry.MsgID)
	require.JSONEq(t, `{"content":"构建失败","mentioned_list":["zhangsan","@all"]}`, string(entry.Content))
	require.Empty(t, r.sim.Inbox("zhangsan", 10), "a group is no conversation with the app")
	require.EqualValues(t, 1, r.sim.Counts().Taken)
	require.Zero(t, r.sim.Counts().Send)
	require.Equal(t, "运维群", r.sim.Calls()[0].To)
	require.NotContains(t, fmt.Sprintf("%+v %+v", entry, r.sim.Calls()), sandbox.DevRobotKey)

	warned := r.robot(said("text", `{"content":"x"}`) + " trailing")
	require.Equal(t, "ok. Warning: wrong json format. ", warned.Errmsg)
}

func TestRobotErrcodes(t *testing.T) {
	article := `{"title":"t","url":"https://e.example"}`
	long := strings.Repeat("m", 4097)
	for _, c := range []struct {
		name, body string
		code       int
	}{
		{"no kind", `{}`, 40008},
		{"video", said("video", `{"media_id":"x"}`), 40008},
		{"textcard", said("textcard", `{"title":"t","description":"d","url":"https://e.example"}`), 40008},
		{"mpnews", said("mpnews", `{}`), 40008},
		{"empty text", said("text", `{"content":""}`), 44004},
		{"text at the limit", said("text", `{"content":"`+long[:2048]+`"}`), 0},
		{"text over it", said("text", `{"content":"`+long[:2049]+`"}`), 40058},
		{"markdown at the limit", said("markdown", `{"content":"`+long[:4096]+`"}`), 0},
		{"markdown over it", said("markdown", `{"content":"`+long+`"}`), 40058},
		{"markdown_v2 at the limit", said("markdown_v2", `{"content":"`+long[:4096]+`"}`), 0},
		{"markdown_v2 over it", said("markdown_v2", `{"content":"`+long+`"}`), 40058},
		{"picture", said("image", picture(png)), 0},
		{"picture by id", said("image", `{"media_id":"x"}`), 93017},
		{"largest picture", said("image", picture(png+strings.Repeat("0", 2<<20-len(png)))), 0},
		{"picture too large", said("image", picture(png+strings.Repeat("0", 2<<20-len(png)+1))), 93018},
		{"no base64", said("image", `{"base64":"%","md5":"x"}`), 40058},
		{"no picture", said("image", picture("GIF89a....")), 40123},
		{"wrong sum", said("image", strings.Replace(picture(png), `"md5":"`, `"md5":"0`, 1)), 301019},
		{"news", said("news", `{"articles":[`+article+`]}`), 0},
		{"no articles", said("news", `{"articles":[]}`), 45008},
		{"nine articles", said("news", `{"articles":[`+strings.Repeat(article+",", 8)+article+`]}`), 45008},
		{"article of a mini program", said("news", `{"articles":[{"title":"t","appid":"wx1","pagepath":"p"}]}`), 41010},
		{"file without id", said("file", `{}`), 41006},
		{"unknown file", said("file", `{"media_id":"x"}`), 40007},
		{"notice", said("template_card", `{"card_type":"text_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"https://e.example"}}`), 0},
		{"picture notice without picture", said("template_card", `{"card_type":"news_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"u"},"image_text_area":{"image_url":"u"}}`), 42044},
		{"buttons", said("template_card", `{"card_type":"button_interaction","task_id":"x","main_title":{"title":"t"},"button_list":[{"text":"a","key":"k"}]}`), 42031},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, sandbox.Options{})
			a := r.robot(c.body)
			require.Equal(t, c.code, a.Errcode, a.Errmsg)
			require.Equal(t, c.code == 0, len(r.sim.Ledger()) == 1)
		})
	}
	r := newRig(t, sandbox.Options{Robots: []sandbox.Robot{{Key: "off", Disabled: true}, {Key: "on"}}})
	body := said("text", `{"content":"x"}`)
	a := r.call("webhook/send?key="+sandbox.DevRobotKey, body)
	require.Equal(t, 93000, a.Errcode)
	require.True(t, strings.HasPrefix(a.Errmsg, "invalid webhook url, hint: ["), a.Errmsg)
	require.Equal(t, 93000, r.call("webhook/send", body).Errcode)
	require.Equal(t, 93004, r.call("webhook/send?key=off", body).Errcode)
	require.Zero(t, r.call("webhook/send?key=on", body).Errcode)
	require.Equal(t, "robot-2", r.sim.Ledger()[0].Robot)
	require.Equal(t, 40058, r.get("/cgi-bin/webhook/send", url.Values{"key": {"on"}}).Errcode)
}

func TestRobotMedia(t *testing.T) {
	r := newRig(t, sandbox.Options{Robots: []sandbox.Robot{{Key: "a"}, {Key: "b"}}})
	up := "/cgi-bin/webhook/upload_media?key="
	id := r.upload(up+"a&type=file&", "media", "清单.csv", []byte("sku,count")).MediaID
	require.NotEmpty(t, id)
	require.Zero(t, r.call("webhook/send?key=a", said("file", `{"media_id":"`+id+`"}`)).Errcode)
	require.Equal(t, 40007, r.call("webhook/send?key=b", said("file", `{"media_id":"`+id+`"}`)).Errcode, "only for that robot")
	require.Equal(t, 40007, r.send(message("file", `{"media_id":"`+id+`"}`)).Errcode, "not for apps")
	apps := r.upload("/cgi-bin/media/upload?type=file&", "media", "a.txt", []byte("anything")).MediaID
	require.Equal(t, 40007, r.call("webhook/send?key=a", said("file", `{"media_id":"`+apps+`"}`)).Errcode)

	voice := r.upload(up+"a&type=voice&", "media", "a.amr", []byte("#!AMR\n1234")).MediaID
	require.Zero(t, r.call("webhook/send?key=a", said("voice", `{"media_id":"`+voice+`"}`)).Errcode)
	require.Equal(t, 301017, r.upload(up+"a&type=voice&", "media", "a.mp3", []byte("ID3.......")).Errcode)
	require.Equal(t, 40005, r.upload(up+"a&type=image&", "media", "a.png", []byte(png)).Errcode)
	wrong := r.upload(up+"c&type=file&", "media", "a.txt", []byte("anything"))
	require.Equal(t, 40058, wrong.Errcode, "not 93000")
	require.True(t, strings.HasPrefix(wrong.Errmsg, "invalid param 'key'"), wrong.Errmsg)
	r.sim.AdvanceClock(72 * time.Hour)
	require.Equal(t, 40145, r.call("webhook/send?key=a", said("file", `{"media_id":"`+id+`"}`)).Errcode)
}

func TestRobotPerMinute(t *testing.T) {
	body := said("text", `{"content":"x"}`)
	for window, free := range map[sandbox.Window]time.Duration{sandbox.WindowSliding: time.Minute, sandbox.WindowCalendar: 20 * time.Second} {
		t.Run(string(window), func(t *testing.T) {
			c := newClock(10, 0, 40)
			r := newRig(t, sandbox.Options{Now: c.now, Window: window})
			for range 20 {
				require.Zero(t, r.robot(body).Errcode)
			}
			c.move(free - time.Second)
			taken := r.sim.Counts().Taken
			c.move(time.Second)
			require.Zero(t, r.robot(body).Errcode, "the window is over")
			require.Equal(t, taken+1, r.sim.Counts().Taken)

			for range 19 {
				require.Zero(t, r.robot(body).Errcode)
			}
			require.Equal(t, 45009, r.robot(body).Errcode)
			require.EqualValues(t, 40, r.sim.Counts().Taken, "nothing is delivered")
			c.move(59 * time.Second)
			require.Equal(t, 45009, r.robot(body).Errcode, "blocked for a minute")
			c.move(time.Second)
			require.Zero(t, r.robot(body).Errcode)
		})
	}
	c := newClock(10, 0, 0)
	r := newRig(t, sandbox.Options{Now: c.now, RobotPerMinute: 1, Robots: []sandbox.Robot{{Key: "a"}, {Key: "b"}}})
	require.Equal(t, 44004, r.call("webhook/send?key=a", said("text", `{}`)).Errcode)
	require.Zero(t, r.call("webhook/send?key=a", body).Errcode, "what was refused is not counted")
	c.move(59 * time.Second)
	require.Equal(t, 45009, r.call("webhook/send?key=a", body).Errcode)
	require.Zero(t, r.call("webhook/send?key=b", body).Errcode, "each robot for itself")
}

func TestRobotFaults(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	require.NoError(t, r.sim.SetFaults(
		sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpRobotSend, Kind: "text"}, Errcode: 93008},
		sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpRobotUpload, Kind: "voice"}, Errcode: -1}))
	require.Equal(t, 93008, r.robot(said("text", `{"content":"x"}`)).Errcode)
	require.Zero(t, r.robot(said("markdown", `{"content":"x"}`)).Errcode)
	require.Zero(t, r.send(text("zhangsan", "x")).Errcode)
	require.Equal(t, "运维群", r.sim.Calls()[0].To, "also of what a fault stopped")
	up := "/cgi-bin/webhook/upload_media?key=" + sandbox.DevRobotKey
	require.Equal(t, -1, r.upload(up+"&type=voice&", "media", "a.amr", []byte("#!AMR\n1234")).Errcode)
	require.Zero(t, r.upload(up+"&type=file&", "media", "a.amr", []byte("#!AMR\n1234")).Errcode)

	two := newRig(t, sandbox.Options{Robots: []sandbox.Robot{{Key: "a"}, {Key: "b"}}, RobotTextBytes: -1})
	require.NoError(t, two.sim.SetFaults(sandbox.Fault{Match: sandbox.Match{Group: "robot-2"}, Errcode: 93001}))
	require.Zero(t, two.call("webhook/send?key=a", said("text", `{"content":"`+strings.Repeat("x", 9000)+`"}`)).Errcode)
	require.Equal(t, 93001, two.call("webhook/send?key=b", said("text", `{"content":"x"}`)).Errcode)
	require.Zero(t, two.send(text("zhangsan", "x")).Errcode)
}

func TestRobotControl(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	body := said("text", `{"content":"x"}`)
	code, _ := r.control("PUT", "robots", `{"key":"new","name":"新群"}`)
	require.Equal(t, 200, code)
	require.Zero(t, r.call("webhook/send?key=new", body).Errcode)
	code, _ = r.control("PUT", "robots", `{"key":"new","disabled":true}`)
	require.Equal(t, 200, code)
	require.Equal(t, 93004, r.call("webhook/send?key=new", body).Errcode)
	code, _ = r.control("PUT", "robots", `{"name":"x"}`)
	require.Equal(t, 400, code)
	_, v := r.control("GET", "robots", "")
	require.Len(t, v["items"], 2)
	_, v = r.control("GET", "ledger?robot="+url.QueryEscape("新群"), "")
	require.Len(t, v["items"], 1)
	_, v = r.control("GET", "ledger?robot="+url.QueryEscape("运维群"), "")
	require.Empty(t, v["items"])
	r.sim.Reset()
	require.Len(t, r.sim.Robots(), 2)

	data, err := http.Get(r.url + "/sandbox/stream?robot=" + url.QueryEscape("新群"))
	require.NoError(t, err)
	defer data.Body.Close()
	require.Zero(t, r.robot(body).Errcode)
	require.Equal(t, 93004, r.call("webhook/send?key=new", body).Errcode)
	code, _ = r.control("PUT", "robots", `{"key":"new"}`)
	require.Equal(t, 200, code)
	require.Zero(t, r.call("webhook/send?key=new", body).Errcode)
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), "event: entry") || !strings.Contains(seen.String(), `"latest":{"robot:`) {
		n, err := data.Body.Read(buf)
		require.NoError(t, err)
		seen.Write(buf[:n])
	}
	require.Contains(t, seen.String(), `"groups":[{"key":"robot:运维群","name":"运维群"},{"key":"robot:新群","name":"新群"}]`)
	require.NotContains(t, seen.String(), `"robot":"运维群"`, "another group")
}

func FuzzRobotSend(f *testing.F) {
	for _, seed := range []string{
		said("text", `{"content":"x","mentioned_list":[1]}`), said("image", picture(png)), said("news", `{"articles":[{}]}`), `{"msgtype":"image","image":7}`,
		said("template_card", `{"card_type":"news_notice","card_image":1}`), said("file", `{"media_id":"x"}`), "\xff",
	} {
		f.Add([]byte(seed))
	}
	sim := sandbox.New(sandbox.Options{Seed: 1, RobotPerMinute: -1})
	defer sim.Close()
	f.Fuzz(func(t *testing.T, body []byte) {
		before := sim.Counts().Taken
		w := httptest.NewRecorder()
		sim.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/cgi-bin/webhook/send?key="+sandbox.DevRobotKey, bytes.NewReader(body)))
		require.Equal(t, http.StatusOK, w.Code)
		var a answer
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), "answer %s", w.Body)
		require.Equal(t, a.Errcode == 0, sim.Counts().Taken == before+1)
	})
}

// What the client says of groups and what the sandbox answers fit together.
func TestClientAndGroups(t *testing.T) {
	r := newRig(t, sandbox.Options{Chats: []sandbox.Chat{onCall}})
	c, err := wecom.NewClient(wecom.Options{BaseURL: r.url})
	require.NoError(t, err)
	defer c.CloseIdleConnections()
	contents := map[wecom.Kind]string{
		wecom.KindText: `{"content":"x"}`, wecom.KindMarkdown: `{"content":"x"}`, wecom.KindMarkdownV2: `{"content":"x"}`, wecom.KindImage: picture(png),
		wecom.KindNews:         `{"articles":[{"title":"t","url":"https://e.example"}]}`,
		wecom.KindTemplateCard: `{"card_type":"text_notice","main_title":{"title":"t"},"card_action":{"type":1,"url":"https://e.example"}}`,
	}
	for kind, data := range map[wecom.Kind]string{wecom.KindFile: "anything", wecom.KindVoice: "#!AMR\n1234"} {
		up, err := c.UploadToRobot(t.Context(), sandbox.DevRobotKey, string(kind), "a", []byte(data))
		require.NoError(t, err)
		contents[kind] = fmt.Sprintf(`{"media_id":%q}`, up.MediaID)
	}
	for _, kind := range wecom.RobotKinds() {
		require.Empty(t, wecom.ValidateRobot(kind, []byte(contents[kind])), kind)
		_, err := c.SendToRobot(t.Context(), sandbox.DevRobotKey, []byte(said(string(kind), contents[kind])))
		require.NoError(t, err, kind)
	}
	_, err = c.SendToRobot(t.Context(), "no-such-key", []byte(said("text", `{"content":"x"}`)))
	require.ErrorContains(t, err, "errcode 93000, config")
	_, err = c.UploadToRobot(t.Context(), "no-such-key", "file", "a", []byte("anything"))
	require.ErrorContains(t, err, "errcode 40058, config")

	chat, err := c.Chat(t.Context(), r.token(), "C1")
	require.NoError(t, err)
	require.Equal(t, wecom.GroupChat{ID: "C1", Name: "值班", Owner: "lisi", Users: onCall.Users}, chat)
	_, err = c.SendToChat(t.Context(), r.token(), []byte(toChat("C1", "x")))
	require.NoError(t, err)
	_, err = c.SendToChat(t.Context(), r.token(), []byte(toChat("C2", "x")))
	require.ErrorContains(t, err, "errcode 86003, state")
}
