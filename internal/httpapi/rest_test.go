package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Half a request is answered soon, whoever sends it, and keeps no connection:
// it neither outlives its time nor delays a stop.
func TestHalfRequestsAreAnsweredAndEnd(t *testing.T) {
	a := newAPI(t)
	key := "Authorization: Bearer " + a.key["admin"] + "\r\n"
	const kind, hundred = "Content-Type: application/json\r\n", "Content-Length: 100\r\n"
	for _, c := range []struct {
		name, head, body string
		status           int
		drained          bool // what is left is taken in for a while, until a stop
	}{
		{"no key", "POST /v1/messages HTTP/1.1\r\n" + kind + hundred, "{", 401, true},
		{"no key, chunks", "POST /v1/messages HTTP/1.1\r\n" + kind + "Transfer-Encoding: chunked\r\n", "5\r\n{", 401, false},
		{"large", "POST /v1/messages HTTP/1.1\r\n" + kind + "Content-Length: 300000\r\n", "{", 401, true},
		{"no such path", "POST /v1/nothing HTTP/1.1\r\n" + key + kind + hundred, "{", 404, true},
		{"no such method", "PATCH /v1/messages HTTP/1.1\r\n" + key + kind + hundred, "{", 405, true},
		{"wrong type", "POST /v1/messages HTTP/1.1\r\n" + key + "Content-Type: text/plain\r\n" + hundred, "{", 415, true},
		{"no body is wanted", "GET /livez HTTP/1.1\r\n" + hundred, "", 200, false},
		{"moved", "GET /docs/./errors HTTP/1.1\r\n" + hundred, "", 307, false},
		{"with a key", "POST /v1/messages HTTP/1.1\r\n" + key + kind + hundred, "{", 408, false},
		{"a file", "POST /v1/media HTTP/1.1\r\n" + key + "Content-Type: multipart/form-data; boundary=b\r\n" + hundred, "--b\r\n", 408, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = fmt.Fprintf(conn, "%sHost: x\r\n\r\n%s", c.head, c.body)
			require.NoError(t, err)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
			rd := bufio.NewReader(conn)
			res, err := http.ReadResponse(rd, nil)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, res.StatusCode)
			require.True(t, res.Close)
			if c.drained {
				return
			}
			_, err = io.Copy(io.Discard, rd)
			require.NoError(t, err, "the connection ends")
		})
	}
}

// A stop does not wait for the rest of small bodies either.
func TestAStopEndsHalfRequests(t *testing.T) {
	a := newAPI(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprint(conn, "POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	rd := bufio.NewReader(conn)
	res, err := http.ReadResponse(rd, nil)
	require.NoError(t, err)
	require.Equal(t, 401, res.StatusCode)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	a.srv.Close()
	_, err = io.Copy(io.Discard, rd)
	require.NoError(t, err)
}

// A body that came whole keeps its connection, and one of a stream does not end
// the stream.
func TestWholeBodiesKeepTheirConnection(t *testing.T) {
	a := newAPI(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	rd := bufio.NewReader(conn)
	for _, status := range []int{401, 401} {
		_, err = fmt.Fprint(conn, "POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
		require.NoError(t, err)
		res, err := http.ReadResponse(rd, nil)
		require.NoError(t, err)
		require.Equal(t, status, res.StatusCode)
		require.False(t, res.Close)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
	}
	_, err = fmt.Fprintf(conn, "GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", a.key["read"])
	require.NoError(t, err)
	res, err := http.ReadResponse(rd, nil)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(2*time.Second)))
	_, err = io.Copy(io.Discard, res.Body)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it goes on")
}
