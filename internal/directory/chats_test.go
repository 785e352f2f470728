package directory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/directory"
	"hongyan/internal/domain"
)

// rooms plays WeCom and the database for the members of chats.
type rooms struct {
	mu     sync.Mutex
	now    map[string][]string // by "app/chat"; nil: WeCom refuses
	takes  time.Duration
	asked  []string
	stored map[string]domain.ChatMembers
}

func (r *rooms) Chat(ctx context.Context, app, chat string) ([]string, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(r.pause()):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, app+"/"+chat)
	if m := r.now[app+"/"+chat]; m != nil {
		return m, nil
	}
	return nil, errors.New("no such chat")
}

func (r *rooms) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.takes
}

func (r *rooms) PutChat(_ context.Context, c domain.ChatMembers) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored[c.App+"/"+c.Chat] = c
	return nil
}

func (r *rooms) ListChats(_ context.Context, since time.Time, _ int) (out []domain.ChatMembers, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.stored {
		if !c.ReadAt.Before(since) {
			out = append(out, c)
		}
	}
	return out, nil
}

func (r *rooms) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

// running starts a Chats that reads from r until the test ends.
func running(t *testing.T, r *rooms) *directory.Chats {
	t.Helper()
	c := directory.NewChats(r, nil)
	c.ReadFrom(r)
	require.NoError(t, c.Load(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return c
}

func TestChatsAreReadOnceAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rooms{now: map[string][]string{"ops/c1": {"Ann", "bob", "ANN"}}, takes: time.Second, stored: map[string]domain.ChatMembers{}}
		c := running(t, r)
		members, known, soon := c.Members("ops", "c1")
		require.Nil(t, members)
		require.False(t, known)
		require.True(t, soon, "it is worth waiting for")
		c.Members("ops", "c1")
		time.Sleep(2 * time.Second)
		members, known, soon = c.Members("ops", "c1")
		require.Equal(t, []string{"ann", "bob"}, members)
		require.True(t, known)
		require.False(t, soon)
		require.Equal(t, 1, r.calls(), "who asks twice is answered once")

		r.mu.Lock()
		r.now["ops/c1"] = []string{"cid"}
		r.mu.Unlock()
		time.Sleep(59 * time.Minute)
		c.Members("ops", "c1")
		require.Equal(t, 1, r.calls())
		time.Sleep(time.Minute)
		members, known, _ = c.Members("ops", "c1")
		require.Equal(t, []string{"ann", "bob"}, members, "until the new ones are read the old ones count")
		require.True(t, known)
		time.Sleep(2 * time.Second)
		members, _, _ = c.Members("ops", "c1")
		require.Equal(t, []string{"cid"}, members)

		other := directory.NewChats(r, nil) // after a restart
		require.NoError(t, other.Load(t.Context()))
		members, known, _ = other.Members("ops", "c1")
		require.Equal(t, []string{"cid"}, members)
		require.True(t, known)
		_, known, _ = other.Members("ops", "C1")
		require.False(t, known, "WeCom looks at upper and lower case")

		c.Changed("ops") // it may be the app of another corp now
		_, known, soon = c.Members("ops", "c1")
		require.False(t, known)
		require.True(t, soon)
	})
}

func TestChatsThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rooms{takes: 30 * time.Second, stored: map[string]domain.ChatMembers{}}
		c := running(t, r)
		_, _, soon := c.Members("ops", "c1")
		require.True(t, soon)
		time.Sleep(4 * time.Second)
		_, known, soon := c.Members("ops", "c1")
		require.False(t, known)
		require.False(t, soon, "nobody waits longer than that")
		time.Sleep(10 * time.Second) // the call is given up
		r.mu.Lock()
		r.takes = time.Millisecond
		r.mu.Unlock()
		for range 40 {
			c.Members("ops", "c1")
			time.Sleep(time.Second)
		}
		require.Zero(t, r.calls(), "not before a minute is over")
		time.Sleep(10 * time.Second)
		for range 59 {
			_, known, _ = c.Members("ops", "c1")
			require.False(t, known)
			time.Sleep(time.Second)
		}
		require.Equal(t, 1, r.calls(), "once a minute")
	})
}

func TestChatsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rooms{now: map[string][]string{}, stored: map[string]domain.ChatMembers{}}
		c := running(t, r)
		for i := range 10_050 {
			key := fmt.Sprintf("c%d", i)
			r.mu.Lock()
			r.now["ops/"+key] = []string{"ann"}
			r.mu.Unlock()
			c.Members("ops", key)
			synctest.Wait()
		}
		_, known, _ := c.Members("ops", "c10049")
		require.True(t, known)
		_, known, _ = c.Members("ops", "c0")
		require.False(t, known, "the old ones made room")
	})
}
