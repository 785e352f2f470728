package app_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

// A caller that waits for the end of a message learns at once that it was
// accepted when the gateway stops, and does not hold the stop up.
func TestStop_AnswersWhoWaits(t *testing.T) {
	t.Parallel()
	wecom, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers})
	p := newProcess(t, "")
	p.start()
	w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
	w.seed()
	w.must("POST", "/v1/apps/ops/pause", nil)
	type outcome struct {
		answer
		err error
	}
	waiters := make(chan outcome, 4)
	for i := range cap(waiters) {
		go func() {
			a, err := w.call("POST", "/v1/messages?wait=30s", alert(i))
			waiters <- outcome{a, err}
		}()
	}
	eventually(t, "all are accepted", func() bool { return w.depth() == cap(waiters) })
	began := time.Now()
	require.NoError(t, p.stop(), "exit code 0")
	require.Less(t, time.Since(began), 5*time.Second)
	for range cap(waiters) {
		got := <-waiters
		require.NoError(t, got.err, "an answer, not an end of the connection")
		require.Equal(t, http.StatusAccepted, got.status, string(got.raw))
		require.NotEmpty(t, got.str("id"))
	}
	p.start()
	w.must("POST", "/v1/apps/ops/resume", nil)
	eventually(t, "all go out after the next start", func() bool { return wecom.Counts().Taken == int64(cap(waiters)) })
}

// A request that does not come to its end takes its own share of the time to
// stop, and none from the lanes.
func TestStop_SlowRequest(t *testing.T) {
	t.Parallel()
	wecom, base := newWeCom(t, sandbox.Options{MembersPattern: loadMembers})
	p := newProcess(t, "")
	p.start()
	w := &world{t: t, wecom: wecom, base: base, url: "http://" + p.addr, key: testKey}
	w.seed()
	w.send(alert(1))
	conn, err := net.Dial("tcp", p.addr)
	require.NoError(t, err)
	defer conn.Close()
	// A large body that begins and does not go on has more than a minute.
	_, err = fmt.Fprintf(conn, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", testKey, 32<<20)
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue", "its body is being read")
	began := time.Now()
	require.NoError(t, p.stop(), "exit code 0")
	require.Less(t, time.Since(began), 25*time.Second)
}
