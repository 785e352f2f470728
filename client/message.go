package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// To names whom a message is for.
type To struct {
	Users       []string `json:"users,omitempty"`
	Departments []string `json:"departments,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Audiences   []string `json:"audiences,omitempty"`
	Mobiles     []string `json:"mobiles,omitempty"`
	Emails      []string `json:"emails,omitempty"`
	Robots      []string `json:"robots,omitempty"`
	Chats       []string `json:"chats,omitempty"`
	All         bool     `json:"all,omitempty"`
}

// SendRequest asks for one message: either Scene with Data, or App (for
// robots only: no App) with Type and Content.
type SendRequest struct {
	Scene any            `json:"scene,omitempty"` // key (string) or code (int)
	To    *To            `json:"to,omitempty"`    // nil: the scene's default
	Data  map[string]any `json:"data,omitempty"`

	App     string `json:"app,omitempty"`
	Type    any    `json:"type,omitempty"`    // WeCom's msgtype, or 0–6
	Content any    `json:"content,omitempty"` // what WeCom documents under that msgtype

	Priority      string `json:"priority,omitempty"` // urgent, high, normal, low
	SendAt        string `json:"send_at,omitempty"`  // RFC 3339 with zone
	ExpiresIn     string `json:"expires_in,omitempty"`
	Reference     string `json:"reference,omitempty"`
	DigestKey     string `json:"digest_key,omitempty"`
	Overflow      string `json:"overflow,omitempty"`
	OnUncertain   string `json:"on_uncertain,omitempty"`
	Safe          int    `json:"safe,omitempty"`
	EnableIDTrans int    `json:"enable_id_trans,omitempty"`
	DryRun        bool   `json:"dry_run,omitempty"` // set by [Client.DryRun]
}

// SendOptions go beside a request.
type SendOptions struct {
	IdempotencyKey string        // empty: the client makes one for this call
	Wait           time.Duration // ask the gateway to answer only when final; at most 30 s
}

// Sent is the answer to a send. Message is set when the message was final
// within the wait.
type Sent struct {
	ID         string   `json:"id"`
	State      string   `json:"state"`
	Deliveries int      `json:"-"` // planned calls to WeCom
	Links      Links    `json:"links"`
	Warnings   []string `json:"warnings,omitempty"`
	Replayed   bool     `json:"-"` // the gateway had this key before and acted only then
	Message    *Message `json:"-"`
}

// Links lead to a message.
type Links struct {
	Self    string `json:"self"`
	Console string `json:"console,omitempty"`
}

// Send hands a message to the gateway. When it returns nil the message is
// durably the gateway's.
func (c *Client) Send(ctx context.Context, r SendRequest, o SendOptions) (Sent, error) {
	if r.DryRun {
		return Sent{}, errors.New("use DryRun for a dry run")
	}
	a, err := c.post(ctx, "/v1/messages", r, &o)
	if err != nil {
		return Sent{}, err
	}
	return sent(a)
}

// sent reads the answer to a send.
func sent(a answer) (Sent, error) {
	var s Sent
	if err := a.decode(&s); err != nil {
		return Sent{}, err
	}
	s.Replayed = a.header.Get("Idempotency-Replayed") == "true"
	var count struct {
		Deliveries json.RawMessage `json:"deliveries"`
	}
	_ = a.decode(&count)
	if json.Unmarshal(count.Deliveries, &s.Deliveries) != nil {
		m := Message{}
		if err := a.decode(&m); err != nil {
			return Sent{}, err
		}
		s.Message, s.Deliveries = &m, len(m.Deliveries)
	}
	return s, nil
}

func (c *Client) post(ctx context.Context, path string, body any, o *SendOptions) (answer, error) {
	key := o.IdempotencyKey
	if key == "" {
		key = newIdempotencyKey()
	}
	k := call{
		method: http.MethodPost, path: path, body: body, safe: true, query: url.Values{},
		header: http.Header{"Idempotency-Key": {key}},
	}
	if o.Wait > 0 {
		k.extra = min(o.Wait, 30*time.Second)
		k.query.Set("wait", k.extra.String())
	}
	return c.do(ctx, k)
}

// Plan is the answer to a dry run or preview: what would go to WeCom.
type Plan struct {
	Deliveries []PlannedDelivery `json:"deliveries"`
	Warnings   []string          `json:"warnings"`
}

// PlannedDelivery is one call that would be made.
type PlannedDelivery struct {
	Lane       string `json:"lane"`
	Body       string `json:"body"` // the exact JSON text
	Bytes      int    `json:"bytes"`
	Recipients int    `json:"recipients"`
	WouldWait  *Wait  `json:"would_wait"` // nil: it would go now
}

// Wait is what a delivery would wait for.
type Wait struct {
	Reason string `json:"reason"` // as WaitReason of a message
	Until  string `json:"until"`  // RFC 3339; empty: until a person acts
}

// DryRun plans a message without storing it.
func (c *Client) DryRun(ctx context.Context, r SendRequest) (Plan, error) {
	r.DryRun = true
	a, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/messages", body: r, safe: true})
	if err != nil {
		return Plan{}, err
	}
	var p Plan
	return p, a.decode(&p)
}

// BatchItem is the outcome of one message of a batch.
type BatchItem struct {
	Status int    `json:"status"` // 202 or why not
	ID     string `json:"id,omitempty"`
	State  string `json:"state,omitempty"`
	Error  *Error `json:"error,omitempty"`
}

// SendBatch hands in up to 1000 messages in one commit. Items answer the
// requests in their order.
func (c *Client) SendBatch(ctx context.Context, rs []SendRequest, o SendOptions) ([]BatchItem, error) {
	o.Wait = 0
	a, err := c.post(ctx, "/v1/messages/batch", map[string]any{"messages": rs}, &o)
	if err != nil {
		return nil, err
	}
	var out struct {
		Items []BatchItem `json:"items"`
	}
	return out.Items, a.decode(&out)
}

// Message is a message as the gateway knows it. Raw has the whole answer.
type Message struct {
	ID            string     `json:"id"`
	State         string     `json:"state"`
	WaitReason    string     `json:"wait_reason,omitempty"`
	NextAttemptAt string     `json:"next_attempt_at,omitempty"`
	Scene         string     `json:"scene,omitempty"`
	App           string     `json:"app,omitempty"`
	Type          string     `json:"type,omitempty"`
	Title         string     `json:"title,omitempty"`
	Reference     string     `json:"reference,omitempty"`
	Source        string     `json:"source,omitempty"`
	MergedInto    string     `json:"merged_into,omitempty"`  // the digest that carries it
	MergedCount   int        `json:"merged_count,omitempty"` // how many messages it carries, if it is a digest
	CreatedAt     string     `json:"created_at,omitempty"`
	FinishedAt    string     `json:"finished_at,omitempty"`
	Recipients    Counts     `json:"recipients"`
	Deliveries    []Delivery `json:"deliveries,omitempty"`

	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the whole answer in Raw. In lists the gateway may give
// the number of deliveries instead of the deliveries.
func (m *Message) UnmarshalJSON(b []byte) error {
	type plain Message
	var v struct {
		plain
		Deliveries json.RawMessage `json:"deliveries"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*m = Message(v.plain)
	if len(v.Deliveries) > 0 && v.Deliveries[0] == '[' {
		if err := json.Unmarshal(v.Deliveries, &m.Deliveries); err != nil {
			return err
		}
	}
	m.Raw = append(json.RawMessage(nil), b...)
	return nil
}

// MarshalJSON writes Raw when there is one.
func (m Message) MarshalJSON() ([]byte, error) {
	if m.Raw != nil {
		return m.Raw, nil
	}
	type plain Message
	return json.Marshal(plain(m))
}

// Final reports whether the message's state will not change any more.
func (m Message) Final() bool {
	switch m.State {
	case "scheduled", "queued", "sending":
		return false
	}
	return true
}

// Counts are recipients by outcome.
type Counts struct {
	Total     int `json:"total"`
	Accepted  int `json:"accepted"`
	Failed    int `json:"failed"`    // who surely did not get it
	Uncertain int `json:"uncertain"` // who may have got it, or not
	Waiting   int `json:"waiting"`
	Merged    int `json:"merged"`
}

// Delivery is one planned call to WeCom with its attempts.
type Delivery struct {
	ID            string    `json:"id"`
	Lane          string    `json:"lane"`
	State         string    `json:"state"`
	WaitReason    string    `json:"wait_reason,omitempty"`
	NextAttemptAt string    `json:"next_attempt_at,omitempty"`
	MergedInto    string    `json:"merged_into,omitempty"`
	Recipients    int       `json:"recipients"`
	MsgID         string    `json:"msgid,omitempty"`
	Attempts      []Attempt `json:"attempts,omitempty"`
}

// Attempt is one call to WeCom.
type Attempt struct {
	N          int     `json:"n"`
	Node       string  `json:"node,omitempty"`
	StartedAt  string  `json:"started_at"`
	DurationMS float64 `json:"duration_ms"`
	Class      string  `json:"class"`
	HTTPStatus *int    `json:"http_status"` // nil: no answer came
	Errcode    *int    `json:"errcode"`     // WeCom's; nil: it has not answered, or not with one
	Errmsg     string  `json:"errmsg,omitempty"`
	Explain    string  `json:"explain,omitempty"` // what it means and what to do, in the client's language
}

// Recipient is one address of a message and its outcome.
type Recipient struct {
	Kind       string `json:"kind"`
	ID         string `json:"id"`
	Outcome    string `json:"outcome"`
	Reason     string `json:"reason,omitempty"`
	Errcode    *int   `json:"errcode"` // WeCom's for this recipient; nil: it has given none
	DeliveryID string `json:"delivery_id,omitempty"`
	At         string `json:"at,omitempty"`
}

// MessageFilter narrows a list. Zero fields do not filter.
type MessageFilter struct {
	State, Scene, App, User, Reference, Source string

	Errcode      string
	MergedInto   string // the id of the digest that carries them
	Since, Until string // RFC 3339
	Query        string // text in title or body
	Limit        int    // 1–200; 0: the gateway's default
	Cursor       string // NextCursor of the page before
}

func (f MessageFilter) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"state": f.State, "scene": f.Scene, "app": f.App, "user": f.User, "reference": f.Reference,
		"source": f.Source, "errcode": f.Errcode, "merged_into": f.MergedInto, "since": f.Since, "until": f.Until, "q": f.Query,
		"cursor": f.Cursor,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if f.Limit > 0 {
		v.Set("limit", strconv.Itoa(f.Limit))
	}
	return v
}

// Page is one page of a list.
type Page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"` // empty at the end
}

// Messages lists messages, newest first.
func (c *Client) Messages(ctx context.Context, f MessageFilter) (Page[Message], error) {
	return get[Page[Message]](ctx, c, "/v1/messages", f.values())
}

// Message reads one message.
func (c *Client) Message(ctx context.Context, id string) (Message, error) {
	return get[Message](ctx, c, "/v1/messages/"+url.PathEscape(id), nil)
}

// Recipients reads the outcome per recipient, a page at a time.
func (c *Client) Recipients(ctx context.Context, id, cursor string) (Page[Recipient], error) {
	v := url.Values{"limit": {"200"}}
	if cursor != "" {
		v.Set("cursor", cursor)
	}
	return get[Page[Recipient]](ctx, c, "/v1/messages/"+url.PathEscape(id)+"/recipients", v)
}

// Cancel takes back what has not been sent. The answer is the gateway's.
func (c *Client) Cancel(ctx context.Context, id string) (json.RawMessage, error) {
	return c.action(ctx, "/v1/messages/"+url.PathEscape(id)+"/cancel", nil, true)
}

// Release decides about a message that is held because WeCom may or may not
// have it: it is sent again or, with drop, ends as uncertain.
func (c *Client) Release(ctx context.Context, id string, drop bool) (json.RawMessage, error) {
	do := "send"
	if drop {
		do = "drop"
	}
	// Not repeated: a released message may be held again.
	return c.action(ctx, "/v1/messages/"+url.PathEscape(id)+"/release", map[string]string{"do": do}, false)
}

// Resend sends a message again as a new one. Render is "same" (the same bytes)
// or "latest" (the live scene), only is "failed" or "all"; empty means the
// gateway's default. A repeat after a lost answer does not send a second time.
func (c *Client) Resend(ctx context.Context, id, render, only string) (json.RawMessage, error) {
	body := map[string]string{}
	if render != "" {
		body["render"] = render
	}
	if only != "" {
		body["only"] = only
	}
	a, err := c.post(ctx, "/v1/messages/"+url.PathEscape(id)+"/resend", body, &SendOptions{})
	return a.body, err
}

func (c *Client) action(ctx context.Context, path string, body any, safe bool) (json.RawMessage, error) {
	if body == nil {
		body = struct{}{}
	}
	a, err := c.do(ctx, call{method: http.MethodPost, path: path, body: body, safe: safe})
	return a.body, err
}

func get[T any](ctx context.Context, c *Client, path string, q url.Values) (T, error) {
	var out T
	a, err := c.do(ctx, call{method: http.MethodGet, path: path, query: q})
	if err != nil {
		return out, err
	}
	return out, a.decode(&out)
}
