package app_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"hongyan/internal/config"
	"hongyan/internal/domain"
	"hongyan/sandbox"
)

func redisURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" {
		t.Skip("skipped: TEST_REDIS_URL is not set")
	}
	return url
}

// TestTokenIsSharedThroughRedis has another program put a token where we look,
// and look for ours where we put it.
func TestTokenIsSharedThroughRedis(t *testing.T) {
	t.Parallel()
	url := redisURL(t)
	opt, err := redis.ParseURL(url)
	require.NoError(t, err)
	rdb := redis.NewClient(opt)
	defer rdb.Close()
	ctx := context.Background()
	for _, format := range []string{"plain", "json"} {
		t.Run(format, func(t *testing.T) {
			key := "test:" + (&domain.IDs{}).New("token_")
			t.Cleanup(func() { rdb.Del(context.Background(), key) })
			wecom, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers})
			w := &world{t: t, wecom: wecom, base: base, key: testKey}
			cfg := testConfig(t, "")
			cfg.RedisURL = config.Secret(url)
			w.start(cfg)
			w.seed()
			theirs := fetchToken(t, base)
			stored := theirs
			if format == "json" {
				stored = `{"access_token":"` + theirs + `","expires_in":7200}`
			}
			require.NoError(t, rdb.Set(ctx, key, stored, time.Hour).Err())
			app := obj{
				"corp_id": sandbox.DevCorpID, "agent_id": sandbox.DevAgentID, "base_url": base, "secret": sandbox.DevSecret,
				"token": obj{"redis_key": key, "redis_format": format},
			}
			w.must("PUT", "/v1/apps/ops", app)
			before := wecom.Counts().GetToken
			require.Equal(t, "sent", w.send(alert(1)).str("state"))
			require.Equal(t, before, wecom.Counts().GetToken, "their token was used")

			wecom.ExpireTokens(42001)
			require.Equal(t, "sent", w.send(alert(2)).str("state"))
			require.Equal(t, before+1, wecom.Counts().GetToken)
			ours, err := rdb.Get(ctx, key).Result()
			require.NoError(t, err)
			require.NotEqual(t, stored, ours, "ours is where they look")
			ttl, err := rdb.TTL(ctx, key).Result()
			require.NoError(t, err)
			require.Greater(t, ttl, time.Hour)
			if format == "plain" {
				require.Equal(t, fetchToken(t, base), ours, "and it is the live one")
			}

			// The other program has put a token there that is dead as well.
			stale := "a-token-of-yesterday"
			if format == "json" {
				stale = `{"access_token":"a-token-of-yesterday","expires_in":5000}`
			}
			require.NoError(t, rdb.Set(ctx, key, stale, time.Hour).Err())
			wecom.ExpireTokens(42001)
			counts := wecom.Counts()
			require.Equal(t, "sent", w.send(alert(3)).str("state"))
			require.Equal(t, counts.GetToken+1, wecom.Counts().GetToken, "one more is fetched")
			require.Equal(t, counts.Send+3, wecom.Counts().Send)
			require.Equal(t, "ok", w.must("GET", "/v1/apps/ops", nil).body["health"].(obj)["state"])
		})
	}
}

// TestRedisIsDown has a Redis that refuses connections: the sharing is missing
// and nothing else, and nobody tries it many times.
func TestRedisIsDown(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var dials atomic.Int64
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			_ = c.Close()
		}
	}()
	defer ln.Close()
	wecom, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers})
	w := &world{t: t, wecom: wecom, base: base, key: testKey}
	cfg := testConfig(t, "")
	cfg.RedisURL = config.Secret("redis://" + ln.Addr().String() + "/0")
	w.start(cfg)
	w.seed()
	require.Equal(t, "sent", w.send(alert(1)).str("state"))
	require.Equal(t, int64(1), wecom.Counts().GetToken)
	require.LessOrEqual(t, dials.Load(), int64(4), "it is not tried again and again")
}

// fetchToken gets a token as another program would.
func fetchToken(t *testing.T, base string) string {
	t.Helper()
	w := &world{t: t, url: base}
	a := w.must("GET", "/cgi-bin/gettoken?corpid="+sandbox.DevCorpID+"&corpsecret="+sandbox.DevSecret, nil)
	return a.str("access_token")
}

func TestTokenSurvivesRestart(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		wecom, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers})
		p := newProcess(t, url)
		p.start()
		w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
		w.seed()
		require.Equal(t, "sent", w.send(alert(1)).str("state"))
		p.kill()
		p.start()
		require.Equal(t, "sent", w.send(alert(2)).str("state"))
		require.EqualValues(t, 1, wecom.Counts().GetToken, "it is kept, sealed, in the store")
	})
}

// WeCom gives the same token out again while it holds it for good, also one
// that it has refused a moment ago. That is believed, once.
func TestR32_RefusedTokenIsGivenOutAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1, Latency: 50 * time.Millisecond})
		defer b.close()
		n := b.start("n1")
		n.app(t, "ops", nil)
		n.scene(t, "plain", domain.Policy{})
		send := func(count int) {
			var reqs []domain.SendRequest
			for i := range count {
				reqs = append(reqs, request("plain", fmt.Sprint(time.Now(), i), people(i, 1)...))
			}
			n.submit(t, reqs...)
			b.drained(time.Minute)
		}
		send(100)
		require.Equal(t, 1, b.answered(sandbox.OpGetToken, 0))
		b.faults(sandbox.Fault{Errcode: 42001, Next: 10}) // those in flight together
		send(100)
		require.Equal(t, 2, b.answered(sandbox.OpGetToken, 0))
		send(100)
		require.Equal(t, 2, b.answered(sandbox.OpGetToken, 0), "not one for each message from then on")
		require.Equal(t, domain.HealthOK, n.operator.Health("ops").State)
		require.Len(t, b.taken(), 300)
	})
}

// Whatever answers to the wish for a token, it has seen no message: that is
// never the fault of one.
func TestR33_TokenIsRefusedForAnyReason(t *testing.T) {
	t.Parallel()
	for _, code := range []int{40058, 60111, 86003, 987654} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, sandbox.Options{Accounts: -1})
				defer b.close()
				n := b.start("n1")
				n.app(t, "ops", nil)
				n.scene(t, "plain", domain.Policy{})
				b.faults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpGetToken}, Errcode: code})
				var reqs []domain.SendRequest
				for i := range 50 {
					reqs = append(reqs, request("plain", fmt.Sprint(i), people(i, 1)...))
				}
				n.submit(t, reqs...)
				time.Sleep(59 * time.Second)
				synctest.Wait()
				require.LessOrEqual(t, b.answered(sandbox.OpGetToken, code), 5)
				health := n.operator.Health("ops")
				require.Equal(t, domain.HealthBlocked, health.State)
				require.Equal(t, code, health.Errcode)
				b.faults()
				b.drained(5 * time.Minute)
				require.Len(t, b.taken(), 50, "nothing was burnt")
			})
		})
	}
}
