package dispatch

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/wecom"
)

// MediaStore keeps the files to upload and what WeCom made of them.
type MediaStore interface {
	ReadBlob(ctx context.Context, sha string) ([]byte, error)
	GetWeComMedia(ctx context.Context, scope, sha, typ string) (domain.WeComMedia, bool, error)
	PutWeComMedia(ctx context.Context, m domain.WeComMedia) error
	DropWeComMedia(ctx context.Context, scope, sha, typ string) error
}

// mediaLife is how long a media id is used: WeCom keeps it three days, and a
// delivery that starts now may still be retried for hours.
const mediaLife = 60 * time.Hour

// mediaCache uploads each file once per corp while its media id lives.
type mediaCache struct {
	store MediaStore

	mu      sync.Mutex
	flights map[string]flight
}

// resolve returns the body with its placeholders replaced. The ids are stored,
// so every retry builds the same bytes.
func (c *mediaCache) resolve(ctx context.Context, client *wecom.Client, token string, app domain.App, d *domain.Delivery) ([]byte, error) {
	body := d.Body
	for _, ref := range d.Media {
		id, err := c.id(ctx, client, token, app, ref)
		if err != nil {
			return nil, err
		}
		body = bytes.ReplaceAll(body, []byte(ref.Placeholder()), []byte(id))
	}
	return body, nil
}

func (c *mediaCache) id(ctx context.Context, client *wecom.Client, token string, app domain.App, ref domain.MediaRef) (string, error) {
	// Media ids serve every app of a corp; two base URLs are two WeComs. The
	// name is part of the key because members see the uploaded file name.
	scope := app.CorpID + "@" + app.BaseURL
	key := ref.Type + "/" + ref.Name
	c.mu.Lock()
	one := c.flights[scope+key+ref.SHA256]
	if one == nil {
		if len(c.flights) > 4096 {
			clear(c.flights)
		}
		one = newFlight()
		c.flights[scope+key+ref.SHA256] = one
	}
	c.mu.Unlock()
	if err := one.take(ctx); err != nil {
		return "", fmt.Errorf("wait for an upload: %w", err)
	}
	defer one.leave()

	known, ok, err := c.store.GetWeComMedia(ctx, scope, ref.SHA256, key)
	if err != nil {
		return "", fmt.Errorf("look up media: %w", err)
	}
	if ok && time.Now().Before(known.ExpiresAt) {
		return known.MediaID, nil
	}
	data, err := c.store.ReadBlob(ctx, ref.SHA256)
	if err != nil {
		return "", fmt.Errorf("read media: %w", err)
	}
	m := domain.WeComMedia{Scope: scope, SHA256: ref.SHA256, Type: key, ExpiresAt: time.Now().Add(mediaLife)}
	if ref.Type == "newsimage" {
		m.MediaID, err = client.UploadImage(ctx, token, ref.Name, data)
		m.ExpiresAt = time.Now().AddDate(1, 0, 0) // such URLs do not expire
	} else {
		var up wecom.UploadResult
		up, err = client.Upload(ctx, token, ref.Type, ref.Name, data)
		m.MediaID = up.MediaID
	}
	if err != nil {
		return "", err
	}
	if err := c.store.PutWeComMedia(ctx, m); err != nil {
		return "", fmt.Errorf("note media: %w", err)
	}
	return m.MediaID, nil
}

// drop forgets the ids of a delivery's files: WeCom says they are dead.
func (c *mediaCache) drop(ctx context.Context, app domain.App, d *domain.Delivery) {
	for _, ref := range d.Media {
		_ = c.store.DropWeComMedia(ctx, app.CorpID+"@"+app.BaseURL, ref.SHA256, ref.Type+"/"+ref.Name) // else the next attempt fails the same way and says so
	}
}
