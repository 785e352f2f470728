package store

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/seal"
)

// A ring whose first key is new ends with everything under it, and the old key
// may go.
func TestR48_Reseal(t *testing.T) {
	dir := t.TempDir()
	key := func(b string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(b, 32))) }
	ring := func(text string) *seal.Ring {
		r, err := seal.Parse(text)
		require.NoError(t, err)
		return r
	}
	ctx := t.Context()
	const apps = resealPage*2 + 1
	s := openTest(t, Config{DataDir: dir, Seal: ring(key("a"))})
	for i := range apps {
		_, _, err := s.PutResource(ctx, domain.Resource{
			Kind: domain.ResourceApp, Key: fmt.Sprint("app", i), Spec: []byte(`{}`), Secrets: map[string]string{"secret": fmt.Sprint("s", i)},
		}, -1)
		require.NoError(t, err)
	}
	_, _, err := s.SwapToken(ctx, 0, domain.AccessToken{Key: "corp", Value: "token", FetchedAt: time.Now()})
	require.NoError(t, err)
	_, err = s.Finish(ctx, []domain.Result{{
		MessageID: "msg_x", Next: domain.StateSent, At: time.Now(),
		Attempt: domain.Attempt{DeliveryID: "dlv_x", N: 1, Class: "ok", ResponseCode: "code"},
	}})
	require.NoError(t, err)
	n, err := s.Reseal(ctx)
	require.NoError(t, err)
	require.Zero(t, n, "nothing to do")
	revision, err := s.Revision(ctx)
	require.NoError(t, err)
	require.NoError(t, s.Close())

	s = openTest(t, Config{DataDir: dir, Seal: ring("new:" + key("b") + "\nold:" + key("a"))})
	n, err = s.Reseal(ctx)
	require.NoError(t, err)
	require.Equal(t, apps+2, n)
	n, err = s.Reseal(ctx)
	require.NoError(t, err)
	require.Zero(t, n, "done")
	after, err := s.Revision(ctx)
	require.NoError(t, err)
	require.Equal(t, revision, after, "nobody needs to read anything again")
	require.NoError(t, s.Close())

	s = openTest(t, Config{DataDir: dir, Seal: ring("new:" + key("b"))})
	for _, i := range []int{0, apps - 1} {
		app, err := s.GetResource(ctx, domain.ResourceApp, fmt.Sprint("app", i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("s", i), app.Secrets["secret"])
	}
	token, found, err := s.GetToken(ctx, "corp")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "token", token.Value)
	attempts, err := s.FindAttempts(ctx, "dlv_x")
	require.NoError(t, err)
	require.Equal(t, "code", attempts[0].ResponseCode)
	require.NoError(t, s.Close())

	_, err = Open(ctx, Config{DataDir: dir, Seal: ring("old:" + key("a"))})
	require.ErrorContains(t, err, "master key does not fit")
}
