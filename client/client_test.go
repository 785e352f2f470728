package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/client"
)

func start(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Options{URL: srv.URL + "/", Key: "hy_test", Language: "zh"})
	require.NoError(t, err)
	return c
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestSendRepeatsTheSameKey(t *testing.T) {
	var calls atomic.Int32
	var keys [2]string
	c := start(t, func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		keys[n-1] = r.Header.Get("Idempotency-Key")
		if n == 1 {
			answer(w, http.StatusServiceUnavailable, `{"code":"unavailable","title":"cannot accept now"}`)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"scene":"alert","to":{"users":["zhangsan"]},"data":{"n":1}}` || r.Header.Get("Authorization") != "Bearer hy_test" || r.Header.Get("Accept-Language") != "zh" {
			answer(w, http.StatusBadRequest, `{"code":"malformed_json"}`)
			return
		}
		w.Header().Set("Idempotency-Replayed", "true")
		answer(w, http.StatusAccepted, `{"id":"msg_1","state":"queued","deliveries":1,"links":{"self":"/v1/messages/msg_1"}}`)
	})
	s, err := c.Send(t.Context(), client.SendRequest{
		Scene: "alert", To: &client.To{Users: []string{"zhangsan"}}, Data: map[string]any{"n": 1},
	}, client.SendOptions{})
	require.NoError(t, err)
	require.Equal(t, client.Sent{ID: "msg_1", State: "queued", Deliveries: 1, Links: client.Links{Self: "/v1/messages/msg_1"}, Replayed: true}, s)
	require.NotEmpty(t, keys[0])
	require.Equal(t, keys[0], keys[1])
}

func TestSendThatWaitsReturnsTheMessage(t *testing.T) {
	c := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("wait") != "5s" {
			answer(w, http.StatusBadRequest, `{}`)
			return
		}
		answer(w, http.StatusOK, `{"id":"msg_1","state":"partial","recipients":{"total":2,"accepted":1,"failed":1},"deliveries":[{"id":"dlv_1","attempts":[{"n":1,"duration_ms":2.5,"explain":"好"}]}],"extra":1}`)
	})
	s, err := c.Send(t.Context(), client.SendRequest{Scene: 12}, client.SendOptions{Wait: 5 * time.Second})
	require.NoError(t, err)
	require.NotNil(t, s.Message)
	require.True(t, s.Message.Final())
	require.Equal(t, 1, s.Deliveries)
	require.Equal(t, "好", s.Message.Deliveries[0].Attempts[0].Explain)
	require.Contains(t, string(s.Message.Raw), `"extra":1`)
}

func TestProblemIsTyped(t *testing.T) {
	c := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"type":"x","title":"Invalid","status":422,"detail":"data does not fit","code":"invalid","request_id":"r1","errors":[{"pointer":"/data/service","code":"required","message":"is missing","fix":"give it"}]}`)
	})
	_, err := c.Send(t.Context(), client.SendRequest{Scene: "a"}, client.SendOptions{})
	e, ok := errors.AsType[*client.Error](err)
	require.True(t, ok)
	require.Equal(t, "invalid", e.Code)
	require.Equal(t, "r1", e.RequestID)
	require.Equal(t, "/data/service", e.Fields[0].Pointer)
	require.ErrorContains(t, err, "422 invalid: Invalid: data does not fit; /data/service: is missing")
}

func TestResendIsRepeatedUnderOneKey(t *testing.T) {
	var keys []string
	c := start(t, func(w http.ResponseWriter, r *http.Request) {
		if keys = append(keys, r.Header.Get("Idempotency-Key")); len(keys) == 1 {
			answer(w, http.StatusServiceUnavailable, `{"code":"unavailable"}`)
			return
		}
		answer(w, http.StatusAccepted, `{"id":"msg_2"}`)
	})
	_, err := c.Resend(t.Context(), "msg_1", "", "all")
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.NotEmpty(t, keys[0])
	require.Equal(t, keys[0], keys[1])
}

func TestUnsafeCallsAreNotRepeated(t *testing.T) {
	var calls atomic.Int32
	c := start(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		answer(w, http.StatusServiceUnavailable, `{"code":"unavailable"}`)
	})
	_, err := c.Release(t.Context(), "msg_1", false)
	require.Error(t, err)
	_, err = c.CreateKey(t.Context(), client.KeyRequest{Name: "a"})
	require.Error(t, err)
	require.EqualValues(t, 2, calls.Load())
}

func TestNoAnswerIsATransportError(t *testing.T) {
	c, err := client.New(client.Options{URL: "http://127.0.0.1:1", Tries: 1})
	require.NoError(t, err)
	_, err = c.Keys(t.Context())
	_, ok := errors.AsType[*client.TransportError](err)
	require.True(t, ok, "%v", err)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var other atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other.Add(1) }))
	t.Cleanup(elsewhere.Close)
	c := start(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	_, err := c.Lanes(t.Context())
	require.Error(t, err)
	require.Zero(t, other.Load())
}

func TestListResourcesFollowsPages(t *testing.T) {
	c := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			answer(w, http.StatusOK, `{"items":[{"key":"a"}],"next_cursor":"2"}`)
			return
		}
		answer(w, http.StatusOK, `{"items":[{"key":"b"}],"next_cursor":""}`)
	})
	items, err := c.ListResources(t.Context(), "apps")
	require.NoError(t, err)
	require.Len(t, items, 2)
}

func TestOptions(t *testing.T) {
	for _, o := range []client.Options{{}, {URL: "ftp://x"}, {URL: "http://x", Key: "a b"}} {
		_, err := client.New(o)
		require.Error(t, err)
	}
}
