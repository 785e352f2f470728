// Package client talks to a Hongyan gateway over its HTTP API. It needs the
// standard library only.
//
// Every call takes a context and has a deadline. Calls are repeated on
// transport errors and on 429, 502, 503 and 504 only where that is safe: reads,
// PUT, DELETE, and sends, because a send carries an Idempotency-Key that the
// client makes when the caller gives none. A refusal of the gateway is an
// [*Error] with its stable code.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTimeout = 30 * time.Second
	defaultTries   = 4
	maxAnswer      = 64 << 20 // a page of messages with their attempts stays far below
	maxBackoff     = 5 * time.Second
)

// Options configure a [Client].
type Options struct {
	URL       string        // of the gateway: http://127.0.0.1:8420; required
	Key       string        // API key, sent as a bearer token; required by all but a few calls
	HTTP      *http.Client  // nil: a client of its own that follows no redirects
	UserAgent string        // default "hongyan-go"
	Language  string        // Accept-Language of error texts; default none (English)
	Timeout   time.Duration // of one try, waiting time of a send not included; default 30 s
	Tries     int           // at most this many tries of a safe call; default 4, 1 never repeats
}

// Client is safe for concurrent use.
type Client struct {
	opts Options
	base string
}

// New checks the options.
func New(opts Options) (*Client, error) {
	u, err := url.Parse(opts.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("the gateway's URL %q must be http://host or https://host", opts.URL)
	}
	if strings.ContainsAny(opts.Key, " \t\r\n") {
		return nil, errors.New("the API key contains white space")
	}
	if opts.HTTP == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		opts.HTTP = &http.Client{
			Transport: t,
			// A redirect would carry the key to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "hongyan-go"
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Tries <= 0 {
		opts.Tries = defaultTries
	}
	return &Client{opts: opts, base: strings.TrimRight(opts.URL, "/")}, nil
}

// call is one request to the gateway.
type call struct {
	method string
	path   string
	query  url.Values
	body   any // marshalled as JSON; json.RawMessage goes as it is
	header http.Header
	safe   bool          // may be repeated
	extra  time.Duration // added to the timeout: what the gateway was asked to wait

	contentType string // of raw, instead of JSON
	raw         []byte
}

// answer is what came back with a 2xx.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) decode(into any) error {
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}

// do carries out a call, repeating it while that is safe and useful.
func (c *Client) do(ctx context.Context, k call) (answer, error) {
	payload, ctype := k.raw, k.contentType
	if k.body != nil {
		b, err := json.Marshal(k.body)
		if err != nil {
			return answer{}, fmt.Errorf("write the request: %w", err)
		}
		payload, ctype = b, "application/json"
	}
	safe := k.safe || k.method != http.MethodPost
	for try := 1; ; try++ {
		a, err := c.once(ctx, k, payload, ctype)
		if err == nil {
			return a, nil
		}
		wait, again := pause(err, try)
		if !safe || !again || try >= c.opts.Tries || ctx.Err() != nil {
			return answer{}, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return answer{}, err
		case <-timer.C:
		}
	}
}

func (c *Client) once(ctx context.Context, k call, payload []byte, ctype string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout+k.extra)
	defer cancel()
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var body io.Reader
	if payload != nil {
		body = bytes.NewReader(payload)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.opts.UserAgent)
	if c.opts.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.opts.Key)
	}
	if c.opts.Language != "" {
		req.Header.Set("Accept-Language", c.opts.Language)
	}
	res, err := c.opts.HTTP.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the URL stands in Op
		}
		return answer{}, &TransportError{Op: k.method + " " + k.path, Err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return answer{}, &TransportError{Op: k.method + " " + k.path, Err: err}
	}
	if len(b) > maxAnswer {
		return answer{}, fmt.Errorf("%s %s: the answer is larger than %d bytes", k.method, k.path, maxAnswer)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return answer{}, problem(res, b)
	}
	return answer{status: res.StatusCode, header: res.Header, body: b}, nil
}

// pause says how long to wait before the next try, and whether one makes
// sense.
func pause(err error, try int) (time.Duration, bool) {
	wait := min(maxBackoff, 100*time.Millisecond<<min(try, 10))
	if n, rerr := rand.Int(rand.Reader, big.NewInt(int64(wait))); rerr == nil {
		wait = wait/2 + time.Duration(n.Int64())/2
	}
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return max(wait, e.RetryAfter), e.RetryAfter <= time.Minute
		}
		return 0, false
	}
	if _, ok := errors.AsType[*TransportError](err); ok {
		return wait, !errors.Is(err, context.Canceled)
	}
	return 0, false
}

// problem reads an RFC 9457 answer; anything else becomes an Error with the
// status alone.
func problem(res *http.Response, body []byte) *Error {
	e := &Error{Status: res.StatusCode}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		_ = json.Unmarshal(body, e) // what does not fit stays empty
	}
	e.Status = res.StatusCode
	if e.Title == "" {
		e.Title = http.StatusText(res.StatusCode)
	}
	if e.RequestID == "" {
		e.RequestID = res.Header.Get("X-Request-Id")
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(res.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = max(0, time.Until(at))
	}
	return e
}

// newIdempotencyKey has 128 random bits.
func newIdempotencyKey() string { return "go-" + rand.Text() }
