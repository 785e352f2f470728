package safehttp

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestR50_RefusedAddresses(t *testing.T) {
	for _, addr := range []string{
		"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254",
		"192.168.0.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "100.127.255.255", "192.0.0.170", "192.0.2.1",
		"192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.1.1.1", "240.0.0.1",
		"255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::",
		"2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fdff::1",
		"fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "4000::1", "8000::1",
	} {
		require.ErrorIs(t, Guard{}.Check(netip.MustParseAddr(addr)), ErrRefused, addr)
	}
	for _, addr := range []string{"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "::ffff:8.8.8.8", "2606:4700:4700::1111", "2400:3200::1"} {
		require.NoError(t, Guard{}.Check(netip.MustParseAddr(addr)), addr)
	}
	require.ErrorIs(t, Guard{}.Check(netip.Addr{}), ErrRefused)
}

func TestR50_AllowOpensExactlyWhatItNames(t *testing.T) {
	g := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}}
	for addr, ok := range map[string]bool{
		"10.1.0.1": true, "10.1.255.255": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "10.0.255.255": false,
		"fd00:1::5": true, "fd00:2::5": false, "127.0.0.1": false, "64:ff9b::a01:1": false,
	} {
		err := g.Check(netip.MustParseAddr(addr))
		if ok {
			require.NoError(t, err, addr)
		} else {
			require.ErrorIs(t, err, ErrRefused, addr)
		}
	}
}

func TestR50_Control(t *testing.T) {
	g := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	require.NoError(t, g.Control("tcp4", "127.0.0.1:8080", nil))
	require.NoError(t, g.Control("tcp6", "[2606:4700:4700::1111]:443", nil))
	for _, c := range []struct{ network, address string }{
		{"tcp4", "127.0.0.1:25"},
		{"tcp4", "127.0.0.1:0"},
		{"tcp4", "127.0.0.1:6379"},
		{"udp", "127.0.0.1:8080"},
		{"unix", "/run/x.sock"},
		{"tcp", "localhost:80"},
		{"tcp6", "[::1]:80"},
		{"tcp6", "[fe80::1%lo]:80"},
	} {
		require.ErrorIs(t, g.Control(c.network, c.address, nil), ErrRefused, c)
	}
}

// target counts what reaches a loopback server.
func target(t *testing.T, h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hits.Add(1); h(w, r) }))
	t.Cleanup(s.Close)
	return s, &hits
}

func TestR50_NothingReachesLoopback(t *testing.T) {
	s, hits := target(t, func(http.ResponseWriter, *http.Request) {})
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	c := New(Options{})
	defer c.CloseIdleConnections()
	for _, raw := range []string{
		"http://127.0.0.1:" + u.Port(), "http://localhost:" + u.Port(), "http://[::ffff:127.0.0.1]:" + u.Port(),
		"http://127.1:" + u.Port(), "http://2130706433:" + u.Port(), "http://0x7f000001:" + u.Port(), "http://0177.0.0.1:" + u.Port(),
		"http://0.0.0.0:" + u.Port(), "http://[::]:" + u.Port(), "http://[::1]:" + u.Port(), "http://127.0.0.1.:" + u.Port(),
		"http://user:pw@127.0.0.1:" + u.Port(), "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:25/x", "http://", "//x", "",
		"http://127.0.0.1:25/", "http:///etc", "unix:///x", "http://169.254.169.254/latest/meta-data/", "javascript:1",
	} {
		_, _, _, err := c.Get(t.Context(), raw, 1<<10)
		require.Error(t, err, raw)
		require.NotContains(t, err.Error(), "pw")
	}
	require.Zero(t, hits.Load())
}

// A name that resolves to a private address is refused though it looked
// harmless, which is how rebinding ends.
func TestR50_CheckedAfterResolution(t *testing.T) {
	s, hits := target(t, func(http.ResponseWriter, *http.Request) {})
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	_, _, _, err = New(Options{}).Get(t.Context(), "http://localhost:"+u.Port()+"/secret-path", 1<<10)
	require.ErrorIs(t, err, ErrRefused)
	require.NotContains(t, err.Error(), "127.0.0.1")
	require.NotContains(t, err.Error(), "secret-path")
	require.Zero(t, hits.Load())
}

func TestR50_ProxyFromEnvironmentIsIgnored(t *testing.T) {
	proxy, hits := target(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	_, _, _, err := New(Options{}).Get(t.Context(), "http://10.0.0.1/", 1<<10)
	require.ErrorIs(t, err, ErrRefused)
	require.Zero(t, hits.Load())
}

func local() *Client {
	return New(Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
}

func TestR50_RedirectsAreNotFollowed(t *testing.T) {
	inner, hits := target(t, func(http.ResponseWriter, *http.Request) {})
	outer, _ := target(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inner.URL, http.StatusFound) })
	_, _, _, err := local().Get(t.Context(), outer.URL, 1<<10)
	require.ErrorContains(t, err, "302")
	require.Zero(t, hits.Load())
}

func TestGet(t *testing.T) {
	s, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "image/png; x=y")
		w.Header().Set("Content-Disposition", `attachment; filename="../a/图.png"`)
		if r.URL.Query().Has("chunked") {
			w.(http.Flusher).Flush()
		}
		_, _ = fmt.Fprint(w, strings.Repeat("x", n))
	})
	c := local()
	for _, q := range []string{"?n=16", "?n=16&chunked"} {
		data, name, mediaType, err := c.Get(t.Context(), s.URL+q, 16)
		require.NoError(t, err)
		require.Len(t, data, 16)
		require.Equal(t, "图.png", name)
		require.Equal(t, "image/png", mediaType)
	}
	for _, q := range []string{"?n=17", "?n=17&chunked"} {
		_, _, _, err := c.Get(t.Context(), s.URL+q, 16)
		require.ErrorContains(t, err, "16")
	}
	_, _, _, err := c.Get(t.Context(), s.URL, 16)
	require.ErrorContains(t, err, "418")
}

func TestGetStopsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // test
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			cancel()
			defer conn.Close() //nolint:errcheck // test
			_, _ = conn.Read(make([]byte, 1))
		}
	}()
	_, _, _, err = local().Get(ctx, "http://"+l.Addr().String()+"/?token=canary", 16)
	require.ErrorIs(t, err, context.Canceled)
	require.NotContains(t, err.Error(), "canary")
}
