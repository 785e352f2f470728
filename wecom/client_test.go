package wecom

import (
	"context"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// recorded is a request as a server saw it.
type recorded struct {
	method, uri, body string
	header            http.Header
	length            int64
	encoding          []string
}

// recording answers with a fixed body and keeps the last request.
func recording(t testing.TB, answer string) (string, func() recorded) {
	var last atomic.Pointer[recorded]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		last.Store(&recorded{r.Method, r.RequestURI, string(b), r.Header, r.ContentLength, r.TransferEncoding})
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() recorded { return *last.Load() }
}

func TestSend(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   SendResult
	}{
		"plain":      {`{"errcode":0,"errmsg":"ok","msgid":"m1"}`, SendResult{Errmsg: "ok", MsgID: "m1"}},
		"no errcode": {`{"errmsg":"ok","msgid":"m1"}`, SendResult{Errmsg: "ok", MsgID: "m1"}},
		"lists with bars": {
			`{"errcode":0,"errmsg":"ok","invaliduser":"bob|carol","invalidparty":"9","invalidtag":"","unlicenseduser":"dave","response_code":"R1"}`,
			SendResult{Errmsg: "ok", InvalidUser: []string{"bob", "carol"}, InvalidParty: []string{"9"}, UnlicensedUser: []string{"dave"}, ResponseCode: "R1"},
		},
		"lists as arrays": {
			`{"errcode":0,"errmsg":"ok","invaliduser":["bob","a|b"],"invalidparty":[9,10],"invalidtag":7}`,
			SendResult{Errmsg: "ok", InvalidUser: []string{"bob", "a", "b"}, InvalidParty: []string{"9", "10"}, InvalidTag: []string{"7"}},
		},
		"json warning": {
			`{"errcode":0,"errmsg":"ok. Warning: wrong json format. "}`,
			SendResult{Errmsg: "ok. Warning: wrong json format.", Doubtful: true},
		},
		"odd members": {`{"errcode":"0","errmsg":"ok","msgid":17}`, SendResult{Errmsg: "ok"}},
	} {
		t.Run(name, func(t *testing.T) {
			base, last := recording(t, c.answer)
			const body = `{"touser":"a|b",  "x":"<中>\u0041"}`
			got, err := testClient(t, base+"/relay/", TransportOptions{}).Send(t.Context(), "t+k/=", []byte(body))
			require.NoError(t, err)
			c.want.HTTPStatus = 200
			require.Empty(t, cmp.Diff(c.want, got))
			req := last()
			require.Equal(t, body, req.body, "exactly these bytes")
			require.Equal(t, "POST /relay/cgi-bin/message/send?access_token=t%2Bk%2F%3D", req.method+" "+req.uri)
			require.EqualValues(t, len(body), req.length)
			require.Equal(t, "hongyan", req.header.Get("User-Agent"))
			require.Empty(t, req.header.Values("Cookie"))
		})
	}
}

func TestSendRefused(t *testing.T) {
	base, _ := recording(t, `{"errcode":60020,"errmsg":"not allow to access from your ip, hint: [1700000000123456789012345], from ip: 198.51.100.9, more info at https://open.work.weixin.qq.com/devtool/query?e=60020"}`)
	_, err := testClient(t, base, TransportOptions{}).Send(t.Context(), "t", []byte(smallBody))
	e := wantError(t, err)
	require.Equal(t, ClassConfig, e.Class)
	require.Equal(t, 60020, e.Code)
	require.Equal(t, "1700000000123456789012345", e.Hint)
	require.Equal(t, "198.51.100.9", e.CallerIP)
	require.Contains(t, e.Error(), "errcode 60020, config: not allow")

	base, _ = recording(t, `{"errcode":81013,"errmsg":"user & party & tag all invalid","invaliduser":"a|b"}`)
	_, err = testClient(t, base, TransportOptions{}).Send(t.Context(), "t", []byte(smallBody))
	e = wantError(t, err)
	require.Equal(t, ClassRecipient, e.Class)
	require.Equal(t, []string{"a", "b"}, e.Result.InvalidUser)
	require.Empty(t, e.CallerIP+e.Hint)
}

func TestCallerIPIsAnAddressOrNothing(t *testing.T) {
	for msg, want := range map[string]string{
		"x, from ip: 1.2.3.4, more": "1.2.3.4", "x, from ip: 2001:db8::1": "2001:db8::1", "from ip: <script>, x": "",
		"from ip: ": "", "nothing": "", "from ip: 1.2.3.4.": "1.2.3.4",
	} {
		require.Equal(t, want, callerIPOf(msg), msg)
	}
}

func TestGetToken(t *testing.T) {
	base, last := recording(t, `{"errcode":0,"errmsg":"ok","access_token":"T1","expires_in":7000}`)
	c := testClient(t, base, TransportOptions{})
	got, err := c.GetToken(t.Context(), "ww 1", "s&=/")
	require.NoError(t, err)
	require.Equal(t, Token{Value: "T1", ExpiresIn: 7000 * time.Second}, got)
	require.Equal(t, "GET /cgi-bin/gettoken?corpid=ww+1&corpsecret=s%26%3D%2F", last().method+" "+last().uri)

	for answer, want := range map[string]time.Duration{
		`{"access_token":"T"}`: 7200 * time.Second, `{"access_token":"T","expires_in":"60"}`: time.Minute,
		`{"access_token":"T","expires_in":-5}`: 7200 * time.Second, `{"access_token":"T","expires_in":1e99}`: 7200 * time.Second,
	} {
		base, _ := recording(t, answer)
		got, err := testClient(t, base, TransportOptions{}).GetToken(t.Context(), "c", "secret")
		require.NoError(t, err)
		require.Equal(t, want, got.ExpiresIn, answer)
	}
	base, _ = recording(t, `{"errcode":0,"errmsg":"ok"}`)
	_, err = testClient(t, base, TransportOptions{}).GetToken(t.Context(), "c", "secret")
	require.Equal(t, ClassAmbiguous, wantError(t, err).Class)
	base, _ = recording(t, `{"errcode":40001,"errmsg":"invalid credential"}`)
	_, err = testClient(t, base, TransportOptions{}).GetToken(t.Context(), "c", "secret")
	require.Equal(t, ClassTokenOrConfig, wantError(t, err).Class)
	require.Equal(t, "gettoken", wantError(t, err).Op)
}

func TestUpload(t *testing.T) {
	base, last := recording(t, `{"errcode":0,"errmsg":"ok","type":"file","media_id":"M1","created_at":"1700000000"}`)
	c := testClient(t, base, TransportOptions{})
	for given, want := range map[string]string{
		"报告 2026.pdf": "报告 2026.pdf", `C:\x\a"b.txt`: "a'b.txt", "../../etc/passwd": "passwd", "a\r\nX: y.txt": "aX: y.txt", "": "file",
		strings.Repeat("长", 200) + ".docx": strings.Repeat("长", 83) + ".docx",
	} {
		got, err := c.Upload(t.Context(), "t", "file", given, []byte("0123456789"))
		require.NoError(t, err)
		require.Equal(t, UploadResult{MediaID: "M1", CreatedAt: time.Unix(1700000000, 0).UTC()}, got)
		req := last()
		require.Equal(t, "/cgi-bin/media/upload?access_token=t&type=file", req.uri)
		require.EqualValues(t, len(req.body), req.length)
		require.Empty(t, req.encoding, "a length, not chunks")
		require.Contains(t, req.body, `name="media"; filename="`+want+`"; filelength=10`)
		_, params, err := mime.ParseMediaType(req.header.Get("Content-Type"))
		require.NoError(t, err)
		part, err := multipart.NewReader(strings.NewReader(req.body), params["boundary"]).NextPart()
		require.NoError(t, err)
		require.Equal(t, "media", part.FormName())
		data, err := io.ReadAll(part)
		require.NoError(t, err)
		require.Equal(t, "0123456789", string(data))
	}
	base, last = recording(t, `{"errcode":0,"errmsg":"ok","url":"https://p.example/1"}`)
	c = testClient(t, base, TransportOptions{})
	u, err := c.UploadImage(t.Context(), "t", "a.png", []byte("\x89PNG56"))
	require.NoError(t, err)
	require.Equal(t, "https://p.example/1", u)
	require.Contains(t, last().body, "Content-Type: image/png\r\n")
	_, err = c.Upload(t.Context(), "t", "image", "a.jpg", []byte("\xff\xd8\xff1234"))
	require.ErrorContains(t, err, "media_id")
	require.Contains(t, last().body, "Content-Type: image/jpg\r\n")
}

func TestAgentGet(t *testing.T) {
	base, last := recording(t, `{"errcode":0,"errmsg":"ok","agentid":1000002,"name":"运维","close":1,"home_url":"https://h",
		"allow_userinfos":{"user":[{"userid":"a"},{"userid":"b"}]},"allow_partys":{"partyid":[1,2]},"allow_tags":{"tagid":[7]}}`)
	got, err := testClient(t, base, TransportOptions{}).AgentGet(t.Context(), "t", 1000002)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(Agent{ID: 1000002, Name: "运维", Closed: true, HomeURL: "https://h", Users: []string{"a", "b"}, Departments: []int64{1, 2}, Tags: []int64{7}}, got))
	require.Equal(t, "/cgi-bin/agent/get?access_token=t&agentid=1000002", last().uri)
}

func TestNewClientRefuses(t *testing.T) {
	for _, base := range []string{"qyapi.weixin.qq.com", "ftp://h", "http://", "http://u:p@h", "http://h?x=1", "http://h#f", "http://%zz"} {
		_, err := NewClient(Options{BaseURL: base})
		require.Error(t, err, base)
	}
	for _, proxy := range []string{"h:1", "ftp://h:1", "http://", "socks4://h:1"} {
		_, err := NewHTTPClient(TransportOptions{Proxy: proxy})
		require.Error(t, err, proxy)
	}
	_, err := NewHTTPClient(TransportOptions{Timeout: -1})
	require.Error(t, err)
}

func TestProxies(t *testing.T) {
	var asked atomic.Pointer[string]
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := r.Host + " " + r.Header.Get("Proxy-Authorization")
		asked.Store(&s)
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
	}))
	defer proxy.Close()
	addr := strings.TrimPrefix(proxy.URL, "http://")
	c := testClient(t, "http://wecom.invalid", TransportOptions{Proxy: "http://u:p@" + addr})
	_, err := c.Send(t.Context(), "t", []byte(smallBody))
	require.NoError(t, err)
	require.Equal(t, "wecom.invalid Basic dTpw", *asked.Load())

	base, _ := recording(t, `{"errcode":0,"errmsg":"ok"}`)
	socks := socksProxy(t, strings.TrimPrefix(base, "http://"))
	c = testClient(t, "http://wecom.invalid", TransportOptions{Proxy: "socks5://" + socks})
	_, err = c.Send(t.Context(), "t", []byte(smallBody))
	require.NoError(t, err)
}

// socksProxy is a SOCKS 5 server that leads every connection to target.
func socksProxy(t *testing.T, target string) string {
	base := rawServer(t, func(c *net.TCPConn) {
		defer c.Close() //nolint:errcheck // test
		b := make([]byte, 256)
		if _, err := io.ReadFull(c, b[:2]); err != nil {
			return
		}
		_, _ = io.ReadFull(c, b[:b[1]])
		_, _ = c.Write([]byte{5, 0})
		if _, err := io.ReadFull(c, b[:5]); err != nil || b[3] != 3 {
			return
		}
		_, _ = io.ReadFull(c, b[5:7+int(b[4])])
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		up, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer up.Close() //nolint:errcheck // test
		go func() { _, _ = io.Copy(up, c) }()
		_, _ = io.Copy(c, up)
	})
	return strings.TrimPrefix(base, "http://")
}

func TestConnectionsAreKept(t *testing.T) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := testClient(t, s.URL, TransportOptions{MaxConnsPerHost: 4})
	done := make(chan error)
	for range 16 {
		go func() {
			var err error
			for range 20 {
				if _, e := c.Send(context.Background(), "t", []byte(smallBody)); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for range 16 {
		require.NoError(t, <-done)
	}
	require.LessOrEqual(t, conns.Load(), int64(4))
}

func BenchmarkSend(b *testing.B) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","msgid":"kD3xkD3xkD3xkD3xkD3xkD3xkD3xkD3x"}`)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	defer s.Close()
	hc, err := NewHTTPClient(TransportOptions{})
	require.NoError(b, err)
	c, err := NewClient(Options{BaseURL: s.URL, HTTP: hc})
	require.NoError(b, err)
	body := []byte(smallBody)
	b.SetParallelism(max(1, 32/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Send(context.Background(), "token", body); err != nil {
				b.Error(err)
			}
		}
	})
}
