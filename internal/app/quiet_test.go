package app_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/sandbox"
)

// TestExpiryInsideQuietHours has no patience with what waits for the morning.
func TestExpiryInsideQuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, sandbox.Options{Accounts: -1})
		defer b.close()
		n := b.start("n1") // eight in the morning in China
		n.app(t, "ops", nil)
		n.scene(t, "quiet", domain.Policy{QuietHours: &domain.QuietHours{From: "07:00", To: "17:00"}})
		short := request("quiet", "short", "load-1")
		short.ExpiresIn = new("2s")
		later := request("quiet", "later", "load-1")
		later.ExpiresIn, later.SendAt = new("30m"), new(time.Now().Add(time.Hour).Format(time.RFC3339))
		ids := n.submit(t, short, later)
		for i, at := range []time.Duration{2 * time.Second, 90 * time.Minute} {
			v := b.view(ids[i])
			require.Equal(t, domain.StateScheduled, v.State)
			require.Equal(t, domain.WaitQuietHours, v.WaitReason)
			require.WithinDuration(t, b.began.Add(at), v.NextAttemptAt, time.Second)
			time.Sleep(time.Until(b.began.Add(at + 2*time.Second)))
			require.Equal(t, domain.StateExpired, b.view(ids[i]).State)
		}
		require.Empty(t, b.texts("load-1"))
	})
}
