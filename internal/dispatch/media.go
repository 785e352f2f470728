package dispatch

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // see resolve
	"encoding/base64"
	"encoding/hex"
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

// mediaCache uploads each file once per shelf while its media id lives.
type mediaCache struct {
	store MediaStore

	mu      sync.Mutex
	flights map[string]flight
}

// shelf is where WeCom keeps files: media ids are good for one of them.
type shelf struct {
	scope string
	put   func(ctx context.Context, ref domain.MediaRef, data []byte) (id string, err error)
	robot bool // pictures are part of the message
}

// appShelf is that of an app: media ids serve every app of a corp; two base URLs
// are two WeComs.
func appShelf(client *wecom.Client, token string, app domain.App) shelf {
	return shelf{scope: app.CorpID + "@" + app.BaseURL, put: func(ctx context.Context, ref domain.MediaRef, data []byte) (string, error) {
		if ref.Type == "newsimage" {
			return client.UploadImage(ctx, token, ref.Name, data)
		}
		up, err := client.Upload(ctx, token, ref.Type, ref.Name, data)
		return up.MediaID, err
	}}
}

// robotShelf is that of a robot: what was uploaded for it serves no other.
func robotShelf(client *wecom.Client, robot domain.App) shelf {
	return shelf{scope: robot.Key + "@" + robot.BaseURL, robot: true, put: func(ctx context.Context, ref domain.MediaRef, data []byte) (string, error) {
		up, err := client.UploadToRobot(ctx, robot.Secret, ref.Type, ref.Name, data)
		return up.MediaID, err
	}}
}

// resolve returns the body with its placeholders replaced. The ids are stored,
// so every retry builds the same bytes.
func (c *mediaCache) resolve(ctx context.Context, d *domain.Delivery, at shelf) ([]byte, error) {
	body := d.Body
	for _, ref := range d.Media {
		if at.robot && ref.Type == "image" {
			data, err := c.store.ReadBlob(ctx, ref.SHA256)
			if err != nil {
				return nil, fmt.Errorf("read media: %w", err)
			}
			sum := md5.Sum(data) //nolint:gosec // WeCom asks for it (page 99110); it protects nothing
			body = bytes.ReplaceAll(body, []byte(ref.MD5Placeholder()), []byte(hex.EncodeToString(sum[:])))
			body = bytes.ReplaceAll(body, []byte(ref.Placeholder()), []byte(base64.StdEncoding.EncodeToString(data)))
			continue
		}
		id, err := c.id(ctx, ref, at)
		if err != nil {
			return nil, err
		}
		body = bytes.ReplaceAll(body, []byte(ref.Placeholder()), []byte(id))
	}
	return body, nil
}

func (c *mediaCache) id(ctx context.Context, ref domain.MediaRef, at shelf) (string, error) {
	// The name is part of the key because members see the uploaded file name.
	key := ref.Type + "/" + ref.Name
	c.mu.Lock()
	one := c.flights[at.scope+key+ref.SHA256]
	if one == nil {
		if len(c.flights) > 4096 {
			clear(c.flights)
		}
		one = newFlight()
		c.flights[at.scope+key+ref.SHA256] = one
	}
	c.mu.Unlock()
	if err := one.take(ctx); err != nil {
		return "", fmt.Errorf("wait for an upload: %w", err)
	}
	defer one.leave()

	known, ok, err := c.store.GetWeComMedia(ctx, at.scope, ref.SHA256, key)
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
	m := domain.WeComMedia{Scope: at.scope, SHA256: ref.SHA256, Type: key, ExpiresAt: time.Now().Add(mediaLife)}
	if ref.Type == "newsimage" {
		m.ExpiresAt = time.Now().AddDate(1, 0, 0) // such URLs do not expire
	}
	if m.MediaID, err = at.put(ctx, ref, data); err != nil {
		return "", err
	}
	if err := c.store.PutWeComMedia(ctx, m); err != nil {
		return "", fmt.Errorf("note media: %w", err)
	}
	return m.MediaID, nil
}

// drop forgets the ids of a delivery's files: WeCom says they are dead.
func (c *mediaCache) drop(ctx context.Context, d *domain.Delivery, at shelf) {
	for _, ref := range d.Media {
		_ = c.store.DropWeComMedia(ctx, at.scope, ref.SHA256, ref.Type+"/"+ref.Name) // else the next attempt fails the same way and says so
	}
}
