package safehttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Options configure a [Client]. The zero value is good.
type Options struct {
	Allow          []netip.Prefix // networks that may be reached although they are not public
	ConnectTimeout time.Duration  // zero: 3 s; the TLS handshake has as much again
	Timeout        time.Duration  // whole call; zero: 15 s
	UserAgent      string         // zero: "hongyan"
}

// Client makes calls to addresses of strangers. It uses no proxy, because a
// proxy would resolve the name again and dial what it likes; it follows no
// redirects and keeps no cookies. Safe for concurrent use; make it with [New].
type Client struct {
	http  *http.Client
	agent string
}

// New returns a client.
func New(o Options) *Client {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 3 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "hongyan"
	}
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, Control: Guard{Allow: o.Allow}.Control}
	return &Client{
		agent: o.UserAgent,
		http: &http.Client{
			Timeout:       o.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:            dialer.DialContext,
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    o.ConnectTimeout,
				TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
				MaxIdleConns:           64,
				MaxIdleConnsPerHost:    4,
				MaxConnsPerHost:        32,
				IdleConnTimeout:        30 * time.Second,
				MaxResponseHeaderBytes: 64 << 10,
				DisableCompression:     true, // a small answer cannot grow
			},
		},
	}
}

// HTTP returns the guarded client for calls that [Client.Get] does not fit.
// Errors of it show the URL; pass them through [Client.Do] instead where the
// URL may hold a secret.
func (c *Client) HTTP() *http.Client { return c.http }

// CloseIdleConnections closes connections that are not in use.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// Do makes a request after checking its URL. Its errors do not show the URL.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	if err := CheckURL(req.URL); err != nil {
		return nil, err
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.agent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	return resp, nil
}

// Get fetches at most limit bytes. It returns them with the file name and the
// media type that the server gave, either of which may be empty and neither of
// which can be trusted. Anything but status 200 is an error, a redirect and a
// larger answer too.
func (c *Client) Get(ctx context.Context, rawURL string, limit int64) (data []byte, filename, mediaType string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, "", "", fmt.Errorf("%w: not a URL", ErrRefused)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", "", err
	}
	defer resp.Body.Close() //nolint:errcheck // reading has told
	if resp.StatusCode != http.StatusOK {
		return nil, "", "", fmt.Errorf("the server answered status %d", resp.StatusCode)
	}
	if resp.ContentLength > limit {
		return nil, "", "", fmt.Errorf("the answer has %d bytes, and %d are allowed", resp.ContentLength, limit)
	}
	if data, err = io.ReadAll(io.LimitReader(resp.Body, limit+1)); err != nil {
		return nil, "", "", fmt.Errorf("read the answer: %w", plain(err))
	}
	if int64(len(data)) > limit {
		return nil, "", "", fmt.Errorf("the answer has more than %d bytes", limit)
	}
	if _, p, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
		filename = p["filename"]
		filename = filename[strings.LastIndexAny(filename, `/\`)+1:]
	}
	mediaType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type")) // empty when it is nonsense
	return data, filename, mediaType, nil
}

// CheckURL refuses what is not a plain http or https URL with a host: other
// schemes, credentials in it. Where the host leads is checked when dialling.
func CheckURL(u *url.URL) error {
	switch {
	case u == nil || u.Host == "" || u.Hostname() == "":
		return fmt.Errorf("%w: no host", ErrRefused)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: scheme must be http or https", ErrRefused)
	case u.User != nil:
		return fmt.Errorf("%w: user and password in the URL", ErrRefused)
	}
	return nil
}

// plain takes the URL out of an error of net/http, and from a refusal the
// address, which would tell a stranger what a private name resolves to.
func plain(err error) error {
	if errors.Is(err, ErrRefused) {
		return fmt.Errorf("%w: it is not public, or its port is not for the web", ErrRefused)
	}
	for {
		u, ok := errors.AsType[*url.Error](err)
		if !ok || u.Err == nil {
			return err
		}
		err = u.Err
	}
}
