package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
)

// Kinds lists the resource collections in the order in which they may refer
// to each other.
func Kinds() []string {
	return []string{"apps", "audiences", "robots", "scenes", "schedules", "inlets", "webhooks"}
}

// Resource is one configured thing as JSON. Secrets are never in it.
type Resource struct {
	Body    json.RawMessage
	ETag    string // for PutResource; empty in lists
	Created bool   // by the PutResource that returned it
}

// ListResources reads all resources of a kind (see [Kinds]).
func (c *Client) ListResources(ctx context.Context, kind string) ([]json.RawMessage, error) {
	var all []json.RawMessage
	q := url.Values{"limit": {"200"}}
	for {
		p, err := get[Page[json.RawMessage]](ctx, c, "/v1/"+kind, q)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if p.NextCursor == "" || p.NextCursor == q.Get("cursor") || len(p.Items) == 0 {
			return all, nil
		}
		q.Set("cursor", p.NextCursor)
	}
}

// HasKind reports whether the gateway has a kind at all (see [Kinds]): an older
// one does not have those that came later.
func (c *Client) HasKind(ctx context.Context, kind string) (bool, error) {
	_, err := get[Page[json.RawMessage]](ctx, c, "/v1/"+kind, url.Values{"limit": {"1"}})
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// Resource reads one resource with its ETag.
func (c *Client) Resource(ctx context.Context, kind, key string) (Resource, error) {
	a, err := c.do(ctx, call{method: http.MethodGet, path: resourcePath(kind, key)})
	return Resource{Body: a.body, ETag: a.header.Get("ETag")}, err
}

// PutResource creates or replaces a resource. With ifMatch (an ETag, or "*"
// for any) the gateway refuses with 412 when somebody else changed it.
func (c *Client) PutResource(ctx context.Context, kind, key string, body any, ifMatch string) (Resource, error) {
	k := call{method: http.MethodPut, path: resourcePath(kind, key), body: body}
	if ifMatch != "" {
		k.header = http.Header{"If-Match": {ifMatch}}
	}
	a, err := c.do(ctx, k)
	return Resource{Body: a.body, ETag: a.header.Get("ETag"), Created: a.status == http.StatusCreated}, err
}

// Change is what a [Client.PutResource] would change.
type Change struct {
	Result   string          `json:"result"`  // created, updated or unchanged
	Secrets  []string        `json:"secrets"` // names of those that would change
	Before   json.RawMessage `json:"before"`  // null: it does not exist
	After    json.RawMessage `json:"after"`
	Warnings []FieldError    `json:"warnings"`
}

// TryResource lets the gateway check a resource as [Client.PutResource] would,
// and say what would change. Nothing is stored.
func (c *Client) TryResource(ctx context.Context, kind, key string, body any) (Change, error) {
	a, err := c.do(ctx, call{method: http.MethodPut, path: resourcePath(kind, key), query: url.Values{"dry_run": {"true"}}, body: body})
	if err != nil {
		return Change{}, err
	}
	var out Change
	if err := json.Unmarshal(a.body, &out); err != nil {
		return Change{}, fmt.Errorf("read what would change: %w", err)
	}
	return out, nil
}

// DeleteResource deletes a resource.
func (c *Client) DeleteResource(ctx context.Context, kind, key string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: resourcePath(kind, key)})
	return err
}

func resourcePath(kind, key string) string {
	return "/v1/" + url.PathEscape(kind) + "/" + url.PathEscape(key)
}

// PauseApp stops an app's lane until [Client.ResumeApp].
func (c *Client) PauseApp(ctx context.Context, key string) (json.RawMessage, error) {
	return c.action(ctx, resourcePath("apps", key)+"/pause", nil, true)
}

// ResumeApp lets a paused or blocked app try again at once.
func (c *Client) ResumeApp(ctx context.Context, key string) (json.RawMessage, error) {
	return c.action(ctx, resourcePath("apps", key)+"/resume", nil, true)
}

// TestApp probes an app's credentials at WeCom.
func (c *Client) TestApp(ctx context.Context, key string) (json.RawMessage, error) {
	return c.action(ctx, resourcePath("apps", key)+"/test", nil, true)
}

// AppDirectory tells what is known of who is in an app's departments and tags.
func (c *Client) AppDirectory(ctx context.Context, key string) (json.RawMessage, error) {
	return get[json.RawMessage](ctx, c, resourcePath("apps", key)+"/directory", nil)
}

// RefreshAppDirectory reads it from WeCom now. The answer may come before the
// reading has ended; "refreshing" is true then.
func (c *Client) RefreshAppDirectory(ctx context.Context, key string) (json.RawMessage, error) {
	return c.action(ctx, resourcePath("apps", key)+"/directory/refresh", nil, true)
}

// SceneVersion is one version in a scene's history.
type SceneVersion struct {
	Version   int    `json:"version"`
	CreatedAt string `json:"created_at"`
	By        string `json:"by"`
	Reason    string `json:"reason"`
	Live      bool   `json:"live"`
}

// SceneVersions lists the latest versions of a scene, newest first.
func (c *Client) SceneVersions(ctx context.Context, key string) ([]SceneVersion, error) {
	p, err := get[Page[SceneVersion]](ctx, c, resourcePath("scenes", key)+"/versions", url.Values{"limit": {"200"}})
	return p.Items, err
}

// RollbackScene makes a new version equal to an old one.
func (c *Client) RollbackScene(ctx context.Context, key string, version int) (json.RawMessage, error) {
	return c.action(ctx, resourcePath("scenes", key)+"/rollback", map[string]int{"version": version}, false)
}

// PreviewScene renders a scene: the live version (version 0), an old one, or a
// draft (a scene as JSON).
func (c *Client) PreviewScene(ctx context.Context, key string, data map[string]any, version int, draft json.RawMessage) (Plan, error) {
	body := map[string]any{"data": data}
	if version > 0 {
		body["version"] = version
	}
	if draft != nil {
		body["draft"] = draft
	}
	raw, err := c.action(ctx, resourcePath("scenes", key)+"/preview", body, true)
	if err != nil {
		return Plan{}, err
	}
	var p Plan
	return p, answer{body: raw}.decode(&p)
}

// KeyRequest describes a new API key. Empty limits mean no limit.
type KeyRequest struct {
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	Scenes    []string `json:"scenes,omitempty"`
	Apps      []string `json:"apps,omitempty"`
	Networks  []string `json:"networks,omitempty"`
	ExpiresAt string   `json:"expires_at,omitempty"`
	App       string   `json:"app,omitempty"` // binds it as a credential of WeCom's own API
	Rate      *KeyRate `json:"rate,omitempty"`
}

// KeyRate bounds what a key may ask for: requests in a minute, of which a
// batch counts its messages.
type KeyRate struct {
	PerMinute int `json:"per_minute"`
}

// Key is an API key. Key itself is shown once, by [Client.CreateKey].
type Key struct {
	ID         string   `json:"id"`
	Key        string   `json:"key,omitempty"`
	Name       string   `json:"name"`
	Prefix     string   `json:"prefix,omitempty"`
	Scopes     []string `json:"scopes"`
	Scenes     []string `json:"scenes,omitempty"`
	Apps       []string `json:"apps,omitempty"`
	Networks   []string `json:"networks,omitempty"`
	App        string   `json:"app,omitempty"`
	Rate       *KeyRate `json:"rate,omitempty"`
	CreatedAt  string   `json:"created_at,omitempty"`
	ExpiresAt  string   `json:"expires_at,omitempty"`
	LastUsedAt string   `json:"last_used_at,omitempty"`
	RevokedAt  string   `json:"revoked_at,omitempty"`

	Warnings []FieldError `json:"warnings,omitempty"` // which of its scenes and apps do not exist; only when it is made
}

// CreateKey makes an API key. It is not repeated on errors.
func (c *Client) CreateKey(ctx context.Context, r KeyRequest) (Key, error) {
	a, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/keys", body: r})
	if err != nil {
		return Key{}, err
	}
	var k Key
	return k, a.decode(&k)
}

// Keys lists the API keys.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	p, err := get[Page[Key]](ctx, c, "/v1/keys", url.Values{"limit": {"200"}})
	return p.Items, err
}

// RevokeKey ends a key within five seconds on every node.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/keys/" + url.PathEscape(id)})
	return err
}

// Lanes reads the state of every lane.
func (c *Client) Lanes(ctx context.Context) (json.RawMessage, error) {
	return get[json.RawMessage](ctx, c, "/v1/lanes", nil)
}

// Errcode explains a WeCom errcode in the client's language.
func (c *Client) Errcode(ctx context.Context, code int) (json.RawMessage, error) {
	return get[json.RawMessage](ctx, c, "/v1/errcodes/"+strconv.Itoa(code), nil)
}

// Ready asks whether the gateway can take messages now. It needs no key.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/readyz"})
	return err
}

// Upload is a media file that messages can refer to as {"media":{"upload":ID}}.
type Upload struct {
	ID        string `json:"id"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size"`
	Type      string `json:"type"`
	Filename  string `json:"filename"`
	ExpiresAt string `json:"expires_at"`
}

// UploadMedia hands in a file of at most 20 MiB. It reads r to the end.
func (c *Client) UploadMedia(ctx context.Context, filename string, r io.Reader) (Upload, error) {
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	part, err := w.CreateFormFile("media", filename)
	if err != nil {
		return Upload{}, err
	}
	if _, err := io.Copy(part, r); err != nil {
		return Upload{}, fmt.Errorf("read %s: %w", filename, err)
	}
	if err := w.Close(); err != nil {
		return Upload{}, err
	}
	// Safe to repeat: an upload is found again by its content.
	a, err := c.do(ctx, call{
		method: http.MethodPost, path: "/v1/media", raw: buf.Bytes(), contentType: w.FormDataContentType(), safe: true,
	})
	if err != nil {
		return Upload{}, err
	}
	var u Upload
	return u, a.decode(&u)
}
