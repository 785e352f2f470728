package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// What an outside reader of the contract would try, and once found wanting.

func TestRecipientsOfASplitTextCountOnce(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		w := newWorldOn(t, sandbox.Options{}, url)
		var users []string
		for i := range 1005 {
			users = append(users, fmt.Sprintf("load-%d", i))
		}
		a := w.send(obj{
			"app": "ops", "type": "text", "content": obj{"content": strings.Repeat("很长的文字。", 400)},
			"to": obj{"users": append(users, "ghost")},
		})
		require.Len(t, a.body["deliveries"], 8, "four parts for two lists of people")
		require.Equal(t, obj{"total": 1006.0, "accepted": 1005.0, "failed": 1.0, "waiting": 0.0, "merged": 0.0}, a.body["recipients"], "%s", a.str("state"))
	})
}
