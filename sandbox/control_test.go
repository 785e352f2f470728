package sandbox_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

var png = "\x89PNG\r\n\x1a\n0000"

func (r *rig) control(method, path, body string, header ...string) (int, map[string]any) {
	r.Helper()
	req, err := http.NewRequest(method, r.url+"/sandbox/api/"+path, strings.NewReader(body))
	require.NoError(r, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(r, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(r, err)
	var v map[string]any
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		require.NoError(r, json.Unmarshal(raw, &v), "body %s", raw)
	}
	return res.StatusCode, v
}

func TestControl(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	code, v := r.control("PUT", "faults", `{"items":[{"id":"a","errcode":45009,"match":{"op":"message/send"}}]}`)
	require.Equal(t, 200, code, v)
	require.Equal(t, 45009, r.send(text("zhangsan", "x")).Errcode)
	code, _ = r.control("DELETE", "faults/a", "")
	require.Equal(t, 200, code)
	code, _ = r.control("DELETE", "faults/a", "")
	require.Equal(t, 404, code)
	code, v = r.control("PUT", "faults", `[{"id":"b","errcode":-1,"typo":1}]`)
	require.Equal(t, 400, code)
	require.Contains(t, v["error"], "typo")

	require.Zero(t, r.send(text("zhangsan", "x")).Errcode)
	_, v = r.control("GET", "ledger?user=ZHANGSAN", "")
	require.Len(t, v["items"], 1)
	_, v = r.control("GET", "ledger?after=1", "")
	require.Empty(t, v["items"])
	_, v = r.control("GET", "calls", "")
	require.Len(t, v["items"], 3)
	_, v = r.control("GET", "counts", "")
	require.EqualValues(t, 2, v["send"])
	require.EqualValues(t, 1, v["by_errcode"].(map[string]any)["45009"])

	code, _ = r.control("PUT", "members", `{"id":"zhangsan","name":"张三","status":2}`)
	require.Equal(t, 200, code)
	require.Equal(t, 81013, r.send(text("zhangsan", "x")).Errcode)

	_, v = r.control("POST", "clock", `{"advance":"3h"}`)
	require.Equal(t, "3h0m0s", v["offset"])
	require.Equal(t, 42001, r.send(text("lisi", "x")).Errcode)
	_, v = r.control("POST", "tokens/expire", `{"errcode":40014}`)
	require.EqualValues(t, 0, v["expired"])

	code, _ = r.control("POST", "reset", "{}")
	require.Equal(t, 200, code)
	require.Zero(t, r.sim.Counts().Send)
	require.WithinDuration(t, time.Now(), r.sim.Now(), time.Minute)
}

func TestControlRefusesOtherSites(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	code, _ := r.control("POST", "reset", "{}", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, code)
}

func TestMedia(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	up := "/cgi-bin/media/upload?type="
	for _, c := range []struct {
		kind, data string
		code       int
	}{
		{"image", png, 0},
		{"image", "GIF89a....", 40123},
		{"image", "tiny", 40006},
		{"image", "", 44001},
		{"voice", "#!AMR\n1234", 0},
		{"voice", "ID3.......", 301017},
		{"voice", "#!AMR\n" + strings.Repeat("v", 2<<20), 301016},
		{"video", "\x00\x00\x00\x18ftypmp42", 0},
		{"video", "RIFF....AVI", 40004},
		{"file", "anything", 0},
		{"file", strings.Repeat("f", 20<<20+1), 45001},
		{"poem", "anything", 40005},
	} {
		a := r.upload(up+c.kind+"&", "media", "名字.bin", []byte(c.data))
		require.Equal(t, c.code, a.Errcode, "%s %.8q: %s", c.kind, c.data, a.Errmsg)
	}
	require.Equal(t, 44001, r.upload(up+"file&", "wrong", "a.txt", []byte("anything")).Errcode)

	id := r.upload(up+"image&", "media", "图.png", []byte(png)).MediaID
	require.Zero(t, r.send(message("image", `{"media_id":"`+id+`"}`)).Errcode)
	require.Equal(t, 40007, r.send(message("file", `{"media_id":"`+id+`"}`)).Errcode)
	require.JSONEq(t, `{"media_id":"`+id+`","filename":"图.png","size":12,"mime":"image/png"}`, string(r.sim.Ledger()[0].Content))

	q := url.Values{"access_token": {r.token()}, "media_id": {id}}
	req, err := http.NewRequest(http.MethodGet, r.url+"/cgi-bin/media/get?"+q.Encode(), nil)
	require.NoError(t, err)
	req.Header.Set("Range", "bytes=1-3")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	part, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "PNG", string(part))
	require.Equal(t, http.StatusPartialContent, res.StatusCode)
	require.Equal(t, "bytes 1-3/12", res.Header.Get("Content-Range"))

	r.sim.AdvanceClock(3*24*time.Hour + time.Second)
	r.tok = ""
	require.Equal(t, 40145, r.send(message("image", `{"media_id":"`+id+`"}`)).Errcode)

	pic := r.upload("/cgi-bin/media/uploadimg?", "media", "a.png", []byte(png))
	require.True(t, strings.HasPrefix(pic.URL, r.url+"/sandbox/media/"), pic.URL)
	shown, err := http.Get(pic.URL)
	require.NoError(t, err)
	defer shown.Body.Close()
	require.Equal(t, "image/png", shown.Header.Get("Content-Type"))
}

func TestStreamShowsTheMembersMessages(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.send(text("zhangsan", "old"))
	res, err := http.Get(r.url + "/sandbox/stream?member=zhangsan")
	require.NoError(t, err)
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func(event string) string {
		for lines.Scan() {
			if lines.Text() == "event: "+event {
				for lines.Scan() {
					if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
						return data
					}
				}
			}
		}
		t.Fatalf("no %s event: %v", event, lines.Err())
		return ""
	}
	require.Contains(t, next("entry"), `"old"`)
	require.Contains(t, next("state"), `"taken":1`)
	r.send(text("lisi", "not mine"))
	r.send(text("zhangsan", "<b>new</b>"))
	require.Contains(t, next("entry"), `<b>new</b>`)
	r.sim.Reset()
	next("clear")
}

func TestPageIsServedWithAPolicy(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	for _, path := range []string{"/", "/?member=zhangsan", "/sandbox/assets/app.js", "/sandbox/assets/page.css"} {
		res, err := http.Get(r.url + path)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, path)
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'self'")
		require.NotContains(t, string(body), "innerHTML")
		require.NotContains(t, string(body), "https://cdn")
	}
}
