package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"hongyan/internal/domain"
)

// RedisShare keeps access tokens in Redis, where programs that are older than
// this gateway look for them.
type RedisShare struct{ rdb *redis.Client }

// NewRedisShare connects lazily to a redis:// or rediss:// URL.
func NewRedisShare(url string) (*RedisShare, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("redis URL is not valid") // the cause would print the password
	}
	// A message waits for this: one try, and WeCom is asked when it fails.
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	opt.PoolSize, opt.MaxRetries, opt.DialerRetries = 4, -1, 1
	return &RedisShare{rdb: redis.NewClient(opt)}, nil
}

// Close ends the connections.
func (s *RedisShare) Close() error { return s.rdb.Close() }

// RedisKey is where an app's token stands: as configured, or a default.
func RedisKey(app domain.App) string {
	if app.Token.RedisKey != "" {
		return app.Token.RedisKey
	}
	return "hongyan:token:" + app.CorpID + ":" + strconv.FormatInt(app.AgentID, 10)
}

type sharedToken struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in,omitempty"`
}

// Get reads the token; its life is the key's TTL. A key without a TTL is
// trusted for renewMargin only, so that a forgotten one cannot stick.
func (s *RedisShare) Get(ctx context.Context, app domain.App) (string, time.Time, error) {
	key := RedisKey(app)
	pipe := s.rdb.Pipeline()
	get, ttl := pipe.Get(ctx, key), pipe.PTTL(ctx, key)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", time.Time{}, fmt.Errorf("read shared token: %w", err)
	}
	value := get.Val()
	if app.Token.RedisFormat == "json" && value != "" {
		var t sharedToken
		if err := json.Unmarshal([]byte(value), &t); err != nil {
			return "", time.Time{}, errors.New("shared token is not the JSON it should be")
		}
		value = t.AccessToken
	}
	life := ttl.Val()
	if life <= 0 {
		life = renewMargin
	}
	return value, time.Now().Add(life), nil
}

// Set writes the token with its remaining life.
func (s *RedisShare) Set(ctx context.Context, app domain.App, token string, expires time.Time) error {
	life := time.Until(expires)
	if life <= 0 {
		return nil
	}
	value := token
	if app.Token.RedisFormat == "json" {
		b, err := json.Marshal(sharedToken{AccessToken: token, ExpiresIn: int64(life.Seconds())})
		if err != nil {
			return err
		}
		value = string(b)
	}
	return s.rdb.Set(ctx, RedisKey(app), value, life).Err()
}
