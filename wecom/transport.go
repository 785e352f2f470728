package wecom

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// TransportOptions tune the connections to WeCom. The zero value is good.
type TransportOptions struct {
	// Proxy is an http, https, socks5 or socks5h URL, with user and password
	// if it wants them. Empty: none; the environment is not looked at.
	Proxy string
	// ConnectTimeout bounds making a TCP connection and, apart from that, the
	// TLS handshake. Zero: 3 s.
	ConnectTimeout time.Duration
	// Timeout bounds a whole call including its answer. Zero: 10 s.
	Timeout time.Duration
	// MaxConnsPerHost bounds the connections to one host, idle ones included.
	// Calls over it wait. Zero: 256.
	MaxConnsPerHost int
	// IdleTimeout closes connections that were not used. It is short because
	// a server that closes first makes the next call's outcome unknown.
	// Zero: 30 s.
	IdleTimeout time.Duration
	// TLS is cloned when set. Nil: TLS 1.2 or newer, system roots.
	TLS *tls.Config
}

// maxHeaderBytes bounds the header of an answer.
const maxHeaderBytes = 64 << 10

// NewHTTPClient returns an HTTP client for [NewClient]: HTTP/1.1 with many
// kept-alive connections, no redirects, no cookies, no compression, no proxy
// from the environment. HTTP/2 stays off because its transport repeats
// requests on its own. The error never shows the proxy's URL.
func NewHTTPClient(o TransportOptions) (*http.Client, error) {
	o.ConnectTimeout = orDefault(o.ConnectTimeout, 3*time.Second)
	o.Timeout = orDefault(o.Timeout, 10*time.Second)
	o.IdleTimeout = orDefault(o.IdleTimeout, 30*time.Second)
	o.MaxConnsPerHost = orDefault(o.MaxConnsPerHost, 256)
	if o.ConnectTimeout < 0 || o.Timeout < 0 || o.IdleTimeout < 0 || o.MaxConnsPerHost < 0 {
		return nil, errors.New("wecom: negative transport option")
	}
	proxy, err := parseProxy(o.Proxy)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		conf = o.TLS.Clone()
	}
	conf.NextProtos = []string{"http/1.1"}
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    o.ConnectTimeout,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		MaxConnsPerHost:        o.MaxConnsPerHost,
		MaxIdleConns:           2 * o.MaxConnsPerHost,
		MaxIdleConnsPerHost:    o.MaxConnsPerHost,
		IdleConnTimeout:        o.IdleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return &http.Client{Transport: t, Timeout: o.Timeout, CheckRedirect: noRedirect}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func parseProxy(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("wecom: proxy is not a URL with a host")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	default:
		return nil, errors.New("wecom: proxy must be http, https, socks5 or socks5h")
	}
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
