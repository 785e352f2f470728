package wecom

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rawServer hands every accepted connection to f.
func rawServer(t *testing.T, f func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c.(*net.TCPConn))
		}
	}()
	return "http://" + l.Addr().String()
}

// readRequest takes one whole request from a connection.
func readRequest(c net.Conn) bool {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// answering serves a fixed answer to whatever was asked.
func answering(t *testing.T, status int, header, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if k, v, ok := strings.Cut(header, ": "); ok {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func testClient(t *testing.T, base string, o TransportOptions) *Client {
	t.Helper()
	hc, err := NewHTTPClient(o)
	require.NoError(t, err)
	c, err := NewClient(Options{BaseURL: base, HTTP: hc})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func wantError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	require.True(t, ok, "%v", err)
	return e
}

const smallBody = `{"touser":"a","msgtype":"text","agentid":1,"text":{"content":"hi"}}`

func TestR14_FailureClasses(t *testing.T) {
	reached := &atomic.Int64{}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer elsewhere.Close()
	bare := func(f func(*net.TCPConn)) func(*testing.T) string {
		return func(t *testing.T) string { return rawServer(t, f) }
	}
	after := func(say string, reset bool) func(*testing.T) string {
		return bare(func(c *net.TCPConn) {
			readRequest(c)
			_, _ = io.WriteString(c, say)
			if reset {
				_ = c.SetLinger(0)
			}
			_ = c.Close()
		})
	}
	fixed := func(status int, header, body string) func(*testing.T) string {
		return func(t *testing.T) string { return answering(t, status, header, body) }
	}
	big := bytes.Repeat([]byte("x"), 16<<20)
	html := "<html><body>Bad Gateway</body></html>"
	for _, c := range []struct {
		name   string
		server func(*testing.T) string
		opt    TransportOptions
		body   []byte
		class  Class
		code   int
		status int
	}{
		{
			name: "01 dns", server: func(*testing.T) string { return "http://no-such-host.invalid" },
			opt: TransportOptions{ConnectTimeout: 500 * time.Millisecond}, class: ClassNotSent,
		},
		{name: "02 refused", server: closedPort, class: ClassNotSent},
		{name: "03 connect timeout", server: fullBacklog, opt: TransportOptions{ConnectTimeout: 100 * time.Millisecond}, class: ClassNotSent},
		{name: "04 tls", server: func(t *testing.T) string {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.Config.ErrorLog = discardLog()
			s.StartTLS()
			t.Cleanup(s.Close)
			return s.URL
		}, class: ClassNotSent},
		{name: "05 reset before the request was written", server: bare(func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 64))
			_ = c.SetLinger(0)
			_ = c.Close()
		}), body: big, class: ClassNotSent},
		{name: "06 reset after", server: after("", true), class: ClassAmbiguous},
		{name: "07 eof", server: after("", false), class: ClassAmbiguous},
		{name: "08 half body", server: after("HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{\"errcode\":0,\"errmsg\":\"ok\"", false), class: ClassAmbiguous, status: 200},
		{
			name: "09 read timeout", server: bare(func(c *net.TCPConn) { readRequest(c); _, _ = c.Read(make([]byte, 1)) }),
			opt: TransportOptions{Timeout: 200 * time.Millisecond}, class: ClassAmbiguous,
		},
		{name: "10 bad gateway", server: fixed(502, "Content-Type: text/html", html), class: ClassAmbiguous, status: 502},
		{name: "10b gateway timeout", server: fixed(504, "Content-Type: text/html", html), class: ClassAmbiguous, status: 504},
		{name: "11 status 500 with errcode", server: fixed(500, "", `{"errcode":45009,"errmsg":"api freq out of limit"}`), class: ClassQuota, code: 45009, status: 500},
		{name: "11b status 500 with errcode 0", server: fixed(500, "", `{"errcode":0,"errmsg":"ok"}`), class: ClassAmbiguous, status: 500},
		{name: "12 system busy", server: fixed(200, "", `{"errcode":-1,"errmsg":"system busy"}`), class: ClassTransient, code: -1, status: 200},
		{name: "13 bad json", server: fixed(200, "", `{"errcode":0,`), class: ClassAmbiguous, status: 200},
		{name: "13b html", server: fixed(200, "", html), class: ClassAmbiguous, status: 200},
		{name: "13c not an object", server: fixed(200, "", `[]`), class: ClassAmbiguous, status: 200},
		{name: "13d foreign object", server: fixed(200, "", `{"login":"please"}`), class: ClassAmbiguous, status: 200},
		{name: "13e errcode of a wrong type", server: fixed(200, "", `{"errcode":{},"errmsg":"ok"}`), class: ClassAmbiguous, status: 200},
		{name: "13f too large", server: fixed(200, "", `{"errcode":0,"errmsg":"`+strings.Repeat("x", 1<<20)+`"}`), class: ClassAmbiguous, status: 200},
		{name: "14 empty", server: fixed(200, "", ""), class: ClassAmbiguous, status: 200},
		{name: "15 redirect", server: fixed(302, "Location: "+elsewhere.URL, ""), class: ClassNotSent, status: 302},
		{name: "15b redirect that keeps the method", server: fixed(307, "Location: "+elsewhere.URL, ""), class: ClassNotSent, status: 307},
		{name: "15c proxy wants a password", server: fixed(407, "", ""), class: ClassNotSent, status: 407},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := c.body
			if body == nil {
				body = []byte(smallBody)
			}
			_, err := testClient(t, c.server(t), c.opt).Send(t.Context(), "tok-canary", body)
			e := wantError(t, err)
			require.Equal(t, c.class, e.Class, "%v", err)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.status, e.HTTPStatus)
			require.Equal(t, "send", e.Op)
			require.NotContains(t, err.Error(), "canary")
		})
	}
	t.Run("16 cancel while waiting", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		base := rawServer(t, func(c *net.TCPConn) {
			readRequest(c)
			cancel()
			_, _ = c.Read(make([]byte, 1))
		})
		_, err := testClient(t, base, TransportOptions{}).Send(ctx, "tok", []byte(smallBody))
		require.Equal(t, ClassAmbiguous, wantError(t, err).Class)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("16b cancel before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := testClient(t, elsewhere.URL, TransportOptions{}).Send(ctx, "tok", []byte(smallBody))
		require.Equal(t, ClassNotSent, wantError(t, err).Class)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("16c cancel while writing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		base := rawServer(t, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 64))
			cancel()
		})
		_, err := testClient(t, base, TransportOptions{}).Send(ctx, "tok", big)
		require.Contains(t, []Class{ClassNotSent, ClassAmbiguous}, wantError(t, err).Class)
	})
	require.Zero(t, reached.Load(), "nothing may follow a redirect or a cancelled call")
}

func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // test
	return "http://" + l.Addr().String()
}

// A reused connection that dies after the request was written must not make
// the transport repeat the request by itself.
func TestR14_NoHiddenReplay(t *testing.T) {
	var requests atomic.Int64
	headers := make(chan http.Header, 8)
	base := rawServer(t, func(c *net.TCPConn) {
		defer c.Close() //nolint:errcheck // test
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			headers <- req.Header
			if requests.Add(1) == 2 {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"errcode\":0,\"errmsg\":\"ok\"}")
		}
	})
	c := testClient(t, base, TransportOptions{})
	_, err := c.Send(t.Context(), "tok", []byte(smallBody))
	require.NoError(t, err)
	_, err = c.Send(t.Context(), "tok", []byte(smallBody))
	require.Equal(t, ClassAmbiguous, wantError(t, err).Class)
	require.EqualValues(t, 2, requests.Load())
	for range 2 {
		h := <-headers
		for name := range h {
			require.NotContains(t, strings.ToLower(name), "idempotency")
		}
	}
}

// bodies counts response bodies that are open.
type bodies struct {
	http.RoundTripper
	open, all atomic.Int64
}

type countedBody struct {
	io.ReadCloser
	once func()
}

func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		b.open.Add(1)
		b.all.Add(1)
		resp.Body = &countedBody{resp.Body, func() { b.open.Add(-1) }}
	}
	return resp, err
}

func (b *countedBody) Close() error {
	b.once()
	b.once = func() {}
	return b.ReadCloser.Close()
}

func TestR31_EveryBodyIsClosed(t *testing.T) {
	hc, err := NewHTTPClient(TransportOptions{})
	require.NoError(t, err)
	count := &bodies{RoundTripper: hc.Transport}
	hc.Transport = count
	for _, base := range []string{
		answering(t, 200, "", `{"errcode":0,"errmsg":"ok"}`), answering(t, 200, "", "<html>"), answering(t, 502, "", "x"),
		answering(t, 302, "Location: /x", "y"), answering(t, 200, "", strings.Repeat("x", 2<<20)), answering(t, 407, "", ""),
	} {
		c, err := NewClient(Options{BaseURL: base, HTTP: hc})
		require.NoError(t, err)
		_, _ = c.Send(t.Context(), "t", []byte(smallBody))
		_, _ = c.GetToken(t.Context(), "ww", "s")
		_, _ = c.Upload(t.Context(), "t", "file", "a", []byte("123456"))
		_, _ = c.UploadImage(t.Context(), "t", "a", []byte("123456"))
		_, _ = c.AgentGet(t.Context(), "t", 1)
		_, _ = c.DepartmentMembers(t.Context(), "t", 1)
		_, _ = c.SendToRobot(t.Context(), "k", []byte(smallBody))
		_, _ = c.UploadToRobot(t.Context(), "k", "file", "a", []byte("123456"))
	}
	hc.CloseIdleConnections()
	require.EqualValues(t, 48, count.all.Load())
	require.Zero(t, count.open.Load())
}

func TestR49_NoSecretInAnyError(t *testing.T) {
	const token, secret = `cAnArY-t0k/en+="&<x>`, `cAnArY-s3c ret%41'~`
	const password, key = "cAnArYproxy", "cAnArY-4f1e-k/y+"
	var forms []string
	for _, s := range []string{token, secret, password, key} {
		forms = append(forms, spellings(s)...)
	}
	echo := func(status int, format string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			q := r.URL.Query()
			_, _ = fmt.Fprintf(w, format, r.RequestURI, q.Get("access_token")+q.Get("corpsecret")+q.Get("key"))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	malformed := rawServer(t, func(c *net.TCPConn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, "HTTP "+line+"\r\n\r\n")
		_ = c.Close()
	})
	bases := []string{
		"http://no-such-host.invalid", closedPort(t), malformed,
		echo(502, "<p>%s</p>%s"), echo(200, "%s %s"), echo(200, strings.Repeat("-", 190)+"%s %s"),
		echo(200, strings.Repeat("-", 8140)+"%s %s"), echo(200, `{"errcode":40014,"errmsg":%q,"x":%q}`),
		echo(200, `{"errcode":60020,"errmsg":"bad %s, hint: [17], from ip: 203.0.113.7, %s"}`), echo(307, "%s%s"),
		echo(200, `{"errcode":0,"access_token":[%q],"x":%q`),
	}
	proxies := []string{"", "http://user:" + password + "@127.0.0.1:1", "socks5://user:" + password + "@127.0.0.1:1"}
	seen := 0
	for _, base := range bases {
		for _, proxy := range proxies {
			c := testClient(t, base, TransportOptions{Proxy: proxy, ConnectTimeout: 300 * time.Millisecond})
			_, err1 := c.GetToken(t.Context(), "ww1", secret)
			_, err2 := c.Send(t.Context(), token, []byte(smallBody))
			_, err3 := c.Upload(t.Context(), token, "file", "a.txt", []byte("123456"))
			_, err4 := c.UploadImage(t.Context(), token, "a.png", []byte("123456"))
			_, err5 := c.AgentGet(t.Context(), token, 7)
			_, err6 := c.Departments(t.Context(), token)
			_, err7 := c.DepartmentMembers(t.Context(), token, 1)
			_, err8 := c.TagMembers(t.Context(), token, 1)
			_, err9 := c.SendToRobot(t.Context(), key, []byte(smallBody))
			_, err10 := c.UploadToRobot(t.Context(), key, "file", "a.txt", []byte("123456"))
			_, err11 := c.SendToChat(t.Context(), token, []byte(smallBody))
			_, err12 := c.Chat(t.Context(), token, "C1")
			for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12} {
				e := wantError(t, err)
				for ; err != nil; err = errors.Unwrap(err) {
					seen++
					text := fmt.Sprintf("%s %v %+v %#v %#v", err, err, err, err, e.Result)
					for _, form := range forms {
						require.NotContains(t, text, form, base)
					}
					require.NotContains(t, text, "cAnArY", base)
				}
			}
		}
	}
	require.Greater(t, seen, 400)
	for _, bad := range []string{"ftp://u:" + password + "@h", "http://u:" + password + "@h:x%zz", "://" + password} {
		_, err := NewHTTPClient(TransportOptions{Proxy: bad})
		require.Error(t, err)
		require.NotContains(t, err.Error(), password)
		_, err = NewClient(Options{BaseURL: bad})
		require.Error(t, err)
		require.NotContains(t, err.Error(), password)
	}
}

func TestR49_CleanMasksForeignParameters(t *testing.T) {
	for in, want := range map[string]string{
		"GET /x?access_token=abc123&y=1":              "GET /x?access_token=***&y=1",
		`{"access_token":"abc","n":1}`:                `{"access_token":"***","n":1}`,
		`{\"corpsecret\": \"abc\"}`:                   `{\"corpsecret\": \"***\"}`,
		"/cgi-bin/webhook/send?key=0f-1e&debug=1":     "/cgi-bin/webhook/send?key=***&debug=1",
		"access_token%3Dabc%26x":                      "access_token%3D***",
		"invalid param 'key'":                         "invalid param 'key'",
		"access_token missing":                        "access_token missing",
		"monkey=1":                                    "monkey=1",
		"a\r\nb\x00c\u2028d":                          "a  b c d",
		"secret=" + strings.Repeat("s", 600) + " end": "secret=*** end",
	} {
		require.Equal(t, want, clean(in), in)
	}
	long := clean(strings.Repeat("中", 400))
	require.LessOrEqual(t, len(long), maxErrmsg)
	require.True(t, strings.HasSuffix(long, "…"))
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
