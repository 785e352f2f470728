package app_test

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestR48_RotateUnderLoad puts a new master key above the old one while
// messages flow, and takes the old one out when the log allows it.
func TestR48_RotateUnderLoad(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		key := func(b string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(b, 32))) }
		wecom, base := newWeCom(t, unlimited)
		p := newProcess(t, url)
		env := append(p.env, "HONGYAN_LOG_LEVEL=info")
		restart := func(ring string) {
			if p.cmd != nil {
				require.NoError(t, p.stop())
			}
			p.env = append(env, "HONGYAN_MASTER_KEY="+ring)
			p.start()
		}
		restart(key("a"))
		w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
		w.seed()
		require.Equal(t, "sent", w.send(obj{"app": "ops", "type": "template_card", "to": obj{"users": []string{"lisi"}}, "content": obj{
			"card_type": "button_interaction", "task_id": "t1", "main_title": obj{"title": "批准？"},
			"button_list": []obj{{"text": "好", "key": "yes"}},
		}}).str("state"))
		l := startLoad(w, 4)

		restart("new:" + key("b") + "\nold:" + key("a"))
		eventually(t, "the log says that the old key may go", func() bool {
			out, err := os.ReadFile(p.log)
			require.NoError(t, err)
			return strings.Contains(string(out), "the others may be taken out")
		})
		restart("new:" + key("b"))
		had := l.count()
		eventually(t, "messages flow", func() bool { return l.count() > had+20 })
		l.halt()
		eventually(t, "every lane is empty", func() bool { return w.depth() == 0 })
		require.EqualValues(t, 1, wecom.Counts().GetToken, "the token opens, too")

		require.NoError(t, p.stop())
		p.env = append(env, "HONGYAN_MASTER_KEY="+key("a"))
		out, err := p.run()
		require.Error(t, err, "the old key opens nothing any more")
		require.Contains(t, out, "open database: the master key does not fit this database")
	})
}
