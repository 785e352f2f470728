package wecom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultBaseURL is where WeCom's API lives.
	DefaultBaseURL = "https://qyapi.weixin.qq.com"

	maxAnswer     = 1 << 20          // bytes read of an answer, unless the call says otherwise
	uploadTimeout = 60 * time.Second // at least, for calls that carry a file of up to 20 MB
)

// Options configure a [Client].
type Options struct {
	// BaseURL is an http or https URL without query. Empty: [DefaultBaseURL].
	// A path is kept, for relays that live below one.
	BaseURL string
	// HTTP makes the calls, normally from [NewHTTPClient]; nil makes one with
	// defaults. Its transport and timeout are used; redirects are never
	// followed and cookies never kept, whatever it says.
	HTTP *http.Client
	// UserAgent is sent with every call. Empty: "hongyan".
	UserAgent string
}

// Client calls WeCom. It holds no credentials: tokens and secrets come with
// each call. Safe for concurrent use; make it with [NewClient].
type Client struct {
	base    url.URL
	rt      http.RoundTripper
	traced  bool // rt reports to httptrace for certain
	timeout time.Duration
	get     http.Header
	post    http.Header
	agent   string

	sendPath string
}

// NewClient checks the options and returns a client. Nothing is called.
func NewClient(o Options) (*Client, error) {
	base, err := url.Parse(orDefault(o.BaseURL, DefaultBaseURL))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("wecom: base URL must be http(s)://host[:port][/path]")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("wecom: base URL must not have a user, a query or a fragment")
	}
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), ""
	if o.HTTP == nil {
		if o.HTTP, err = NewHTTPClient(TransportOptions{}); err != nil {
			return nil, err
		}
	}
	c := &Client{
		base: *base, rt: o.HTTP.Transport, timeout: o.HTTP.Timeout,
		agent: orDefault(o.UserAgent, "hongyan"), sendPath: base.Path + "/cgi-bin/message/send",
	}
	if c.rt == nil {
		c.rt = http.DefaultTransport
	}
	if c.timeout <= 0 {
		c.timeout = 10 * time.Second
	}
	_, c.traced = c.rt.(*http.Transport)
	c.get = http.Header{"User-Agent": {c.agent}, "Accept": {"application/json"}}
	c.post = http.Header{"User-Agent": {c.agent}, "Content-Type": {"application/json; charset=utf-8"}}
	return c, nil
}

// CloseIdleConnections closes the connections that nothing uses now.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.rt.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// GetToken fetches an access token. Errors have Op gettoken; a wrong secret is
// [ClassTokenOrConfig] there and repeating it gets the caller's IP banned.
func (c *Client) GetToken(ctx context.Context, corpID, secret string) (Token, error) {
	k := call{op: "gettoken", secrets: []string{secret}}
	q := "corpid=" + url.QueryEscape(corpID) + "&corpsecret=" + url.QueryEscape(secret)
	a, _, err := c.ask(ctx, &k, http.MethodGet, c.base.Path+"/cgi-bin/gettoken", q, nil)
	if err != nil {
		return Token{}, err
	}
	if a.AccessToken == "" {
		return Token{}, k.fail(ClassAmbiguous, "the answer holds no access_token")
	}
	seconds, err := strconv.ParseInt(a.ExpiresIn.String(), 10, 64)
	if err != nil || seconds <= 0 || seconds > 30*86400 {
		seconds = 7200
	}
	return Token{Value: a.AccessToken, ExpiresIn: time.Duration(seconds) * time.Second}, nil
}

// Send posts exactly these bytes to message/send and waits for the answer. The
// error is nil only for errcode 0, and an [*Error] otherwise. The body must
// not be changed until the call's context is done or an answer came.
func (c *Client) Send(ctx context.Context, token string, body []byte) (SendResult, error) {
	return c.send(ctx, c.sendPath, "access_token", token, body)
}

// send posts a message to whatever takes messages.
func (c *Client) send(ctx context.Context, path, param, secret string, body []byte) (SendResult, error) {
	k := call{op: "send", secrets: []string{secret}}
	a, code, err := c.ask(ctx, &k, http.MethodPost, path, param+"="+url.QueryEscape(secret), body)
	if err != nil {
		return SendResult{}, err
	}
	return a.result(k.status, code, secret), nil
}

// AgentGet reads the application that the token belongs to.
func (c *Client) AgentGet(ctx context.Context, token string, agentID int64) (Agent, error) {
	k := call{op: "agent_get", secrets: []string{token}, keep: true, limit: maxDirectory}
	q := "access_token=" + url.QueryEscape(token) + "&agentid=" + strconv.FormatInt(agentID, 10)
	if _, _, err := c.ask(ctx, &k, http.MethodGet, c.base.Path+"/cgi-bin/agent/get", q, nil); err != nil {
		return Agent{}, err
	}
	return parseAgent(&k)
}

func parseAgent(k *call) (Agent, error) {
	var w struct {
		AgentID        json.Number `json:"agentid"`
		Name           string      `json:"name"`
		Description    string      `json:"description"`
		Close          int         `json:"close"`
		RedirectDomain string      `json:"redirect_domain"`
		HomeURL        string      `json:"home_url"`
		Users          struct {
			User []struct {
				UserID string `json:"userid"`
			} `json:"user"`
		} `json:"allow_userinfos"`
		Parties struct {
			ID []int64 `json:"partyid"`
		} `json:"allow_partys"`
		Tags struct {
			ID []int64 `json:"tagid"`
		} `json:"allow_tags"`
	}
	if err := json.Unmarshal(k.raw, &w); err != nil {
		return Agent{}, k.fail(ClassAmbiguous, "the answer has members of unexpected types")
	}
	a := Agent{
		Name: w.Name, Description: w.Description, Closed: w.Close != 0,
		RedirectDomain: w.RedirectDomain, HomeURL: w.HomeURL, Departments: w.Parties.ID, Tags: w.Tags.ID,
	}
	a.ID, _ = w.AgentID.Int64() // 0 when it is not an integer
	for _, u := range w.Users.User {
		a.Users = append(a.Users, u.UserID)
	}
	return a, nil
}

// ask makes a call with a small body or none and reads its answer.
func (c *Client) ask(ctx context.Context, k *call, method, path, query string, body []byte) (*answer, int, error) {
	req := &http.Request{Method: method, Header: c.get, ContentLength: int64(len(body))}
	if method == http.MethodPost {
		req.Header = c.post
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c.do(ctx, k, req, path, query, c.timeout)
}

// call is the state of one call.
type call struct {
	op      string
	secrets []string
	limit   int64 // bytes read of the answer; 0: maxAnswer
	keep    bool  // keep the answer's bytes in raw
	raw     []byte
	status  int
}

func (k *call) fail(class Class, msg string) *Error {
	return &Error{Op: k.op, Class: class, Msg: clean(msg, k.secrets...), HTTPStatus: k.status}
}

// trace follows how far a request got. It is not part of call and not reused:
// its hooks may fire after the call has returned.
type trace struct {
	hooks httptrace.ClientTrace
	phase atomic.Int32
}

// The phases of a request.
const (
	phaseNone    = iota // nothing has been handed to a connection
	phaseBegun          // a connection is there; bytes may be on their way
	phaseAborted        // writing failed before the end
	phaseWritten        // every byte was handed to the system
)

func (t *trace) gotConn(httptrace.GotConnInfo) {
	if t.phase.Load() != phaseWritten {
		t.phase.Store(phaseBegun)
	}
}

func (t *trace) wrote(info httptrace.WroteRequestInfo) {
	switch {
	case info.Err == nil:
		t.phase.Store(phaseWritten)
	case t.phase.Load() != phaseWritten:
		t.phase.Store(phaseAborted)
	}
}

// class says what a failed round trip means. While the request is on its way
// and the caller gave up nobody knows how much arrives.
func (t *trace) class(traced, gaveUp bool) Class {
	switch t.phase.Load() {
	case phaseWritten:
		return ClassAmbiguous
	case phaseBegun:
		if gaveUp {
			return ClassAmbiguous
		}
		return ClassNotSent // the connection broke and its writer ended without having written all
	case phaseAborted:
		return ClassNotSent
	default:
		if !traced {
			return ClassAmbiguous // a foreign transport that tells nothing
		}
		return ClassNotSent
	}
}

func gaveUp(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// do makes one round trip, reads the answer and judges it. Redirects are not
// followed, because the transport alone never does.
func (c *Client) do(ctx context.Context, k *call, req *http.Request, path, query string, timeout time.Duration) (*answer, int, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	u := c.base
	u.Path, u.RawQuery = path, query
	req.URL, req.Host = &u, u.Host
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1
	t := &trace{}
	t.hooks.GotConn, t.hooks.WroteRequest = t.gotConn, t.wrote
	req = req.WithContext(httptrace.WithClientTrace(ctx, &t.hooks))

	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		e := k.fail(t.class(c.traced, gaveUp(err) || ctx.Err() != nil), "")
		if ctx.Err() != nil && !gaveUp(err) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		e.Err = scrub(err, k.secrets...)
		return nil, 0, e
	}
	defer resp.Body.Close() //nolint:errcheck // reading has told
	k.status = resp.StatusCode
	buf := buffers.Get().(*bytes.Buffer) //nolint:forcetypeassert // nothing else is put in
	defer giveBack(buf)
	buf.Reset()
	limit := orDefault(k.limit, maxAnswer)
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, 0, k.fail(ClassNotSent, "redirects are not followed; the base URL or a proxy points to the wrong place")
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return nil, 0, k.fail(ClassNotSent, "the proxy wants other credentials")
	case err != nil:
		e := k.fail(ClassAmbiguous, "the answer broke off")
		e.Err = scrub(err, k.secrets...)
		return nil, 0, e
	case n > limit:
		return nil, 0, k.fail(ClassAmbiguous, fmt.Sprintf("the answer is larger than %d MiB", limit>>20))
	}
	return k.judge(buf.Bytes())
}

// judge reads an answer. What is not WeCom's JSON came from something on the
// way, and the request may have passed it.
func (k *call) judge(body []byte) (*answer, int, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || !isObject(body) {
		// A member of an unexpected type does not make the rest unreadable.
		wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
		if !ok || wrong.Field == "errcode" || !isObject(body) {
			return nil, 0, k.fail(ClassAmbiguous, k.describe(body))
		}
	}
	code, known, ok := a.code()
	switch {
	case !ok, !known && !a.plausible():
		return nil, 0, k.fail(ClassAmbiguous, k.describe(body))
	case code == 0 && k.status != http.StatusOK:
		return nil, 0, k.fail(ClassAmbiguous, "errcode 0 with status "+strconv.Itoa(k.status))
	case code == 0:
		if k.keep {
			k.raw = bytes.Clone(body)
		}
		return &a, 0, nil
	}
	e := k.fail(Classify(code), a.Errmsg)
	e.Code = code
	e.Hint, e.CallerIP = hintOf(e.Msg), callerIPOf(e.Msg)
	if k.op == "send" {
		r := a.result(k.status, code, k.secrets...)
		e.Result = &r
	}
	return nil, code, e
}

func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

// plausible reports whether an answer without errcode says something that only
// WeCom says; some calls leave errcode out when all is well.
func (a *answer) plausible() bool {
	return a.MsgID != "" || a.AccessToken != "" || a.MediaID != "" || a.URL != "" || a.Errmsg == "ok"
}

// describe tells the operator what came instead of WeCom's JSON.
func (k *call) describe(body []byte) string {
	status := strconv.Itoa(k.status) + " " + statusText(k.status)
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return "empty answer, " + status
	}
	// Masked before it is cut, or half a secret would stay.
	excerpt := CutBytes(clean(string(body[:min(len(body), maxForeign+1)]), k.secrets...), 200, "…")
	return "the answer is not WeCom's JSON, " + status + ": " + excerpt
}

// buffers keep the memory of answers; a variable only because sync.Pool is
// shared by nature.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func giveBack(b *bytes.Buffer) {
	if b.Cap() <= 64<<10 {
		buffers.Put(b)
	}
}
