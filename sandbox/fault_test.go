package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

func TestFaults(t *testing.T) {
	body := text("zhangsan", "x")
	cases := []struct {
		name  string
		fault sandbox.Fault
		taken int
		check func(t *testing.T, res *http.Response, body string, err error)
	}{
		{"errcode", sandbox.Fault{Errcode: -1}, 0, func(t *testing.T, res *http.Response, body string, err error) {
			require.NoError(t, err)
			require.Contains(t, body, `"errcode":-1,"errmsg":"system busy, hint: [`)
		}},
		{"errcode after taking", sandbox.Fault{Errcode: -1, When: sandbox.After}, 1, func(t *testing.T, _ *http.Response, body string, err error) {
			require.NoError(t, err)
			require.Contains(t, body, `"errcode":-1`)
		}},
		{"http status", sandbox.Fault{HTTPStatus: 502}, 0, func(t *testing.T, res *http.Response, body string, err error) {
			require.NoError(t, err)
			require.Equal(t, 502, res.StatusCode)
			require.Contains(t, body, "<h1>502 Bad Gateway</h1>")
		}},
		{"http status after taking", sandbox.Fault{HTTPStatus: 504, When: sandbox.After}, 1, func(t *testing.T, res *http.Response, _ string, err error) {
			require.NoError(t, err)
			require.Equal(t, 504, res.StatusCode)
		}},
		{"reset before", sandbox.Fault{Drop: sandbox.Reset}, 0, wantReset},
		{"reset after", sandbox.Fault{Drop: sandbox.Reset, When: sandbox.After}, 1, wantReset},
		{"truncated", sandbox.Fault{Truncate: 7}, 1, func(t *testing.T, _ *http.Response, body string, err error) {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Equal(t, `{"errco`, body)
		}},
		{"html", sandbox.Fault{HTML: true}, 0, func(t *testing.T, res *http.Response, body string, err error) {
			require.NoError(t, err)
			require.Equal(t, 200, res.StatusCode)
			require.True(t, strings.HasPrefix(body, "<!DOCTYPE html>"))
		}},
		{"empty", sandbox.Fault{Empty: true}, 0, func(t *testing.T, _ *http.Response, body string, err error) {
			require.NoError(t, err)
			require.Empty(t, body)
		}},
		{"other user", sandbox.Fault{Match: sandbox.Match{User: "lisi"}, Errcode: -1}, 1, wantOK},
		{"other kind", sandbox.Fault{Match: sandbox.Match{Kind: "news"}, Errcode: -1}, 1, wantOK},
		{"other operation", sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpUpload}, Errcode: -1}, 1, wantOK},
		{"latency only", sandbox.Fault{Latency: sandbox.Duration(time.Millisecond)}, 1, wantOK},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, sandbox.Options{})
			r.token()
			require.NoError(t, r.sim.SetFaults(c.fault))
			res, err := r.post(body)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(res.Body)
				require.NoError(t, res.Body.Close())
			}
			c.check(t, res, string(got), err)
			require.Len(t, r.sim.Ledger(), c.taken)
			counts := r.sim.Counts()
			told := int64(0) // answers to message/send that carried errcode 0
			if strings.Contains(string(got), `"errcode":0`) {
				told = 1
			}
			require.Equal(t, told, counts.ByErrcode[0]-counts.GetToken)
		})
	}
}

func wantOK(t *testing.T, _ *http.Response, body string, err error) {
	require.NoError(t, err)
	require.Contains(t, body, `"errcode":0`)
}

func wantReset(t *testing.T, _ *http.Response, _ string, err error) {
	require.Error(t, err)
	require.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF), "got %v", err)
}

func TestFaultHangEndsWithTheCaller(t *testing.T) {
	for _, when := range []string{sandbox.Before, sandbox.After} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t, sandbox.Options{})
			r.token()
			require.NoError(t, r.sim.SetFaults(sandbox.Fault{Drop: sandbox.Hang, When: when}))
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/cgi-bin/message/send?access_token="+r.tok, strings.NewReader(text("zhangsan", "x")))
			require.NoError(t, err)
			gone := make(chan error, 1)
			go func() {
				res, err := http.DefaultClient.Do(req)
				if err == nil {
					_ = res.Body.Close()
				}
				gone <- err
			}()
			require.Eventually(t, func() bool { return r.sim.Counts().Send == 1 }, 5*time.Second, time.Millisecond)
			cancel()
			require.ErrorIs(t, <-gone, context.Canceled)
			require.Equal(t, when == sandbox.After, len(r.sim.Ledger()) == 1)
		})
	}
}

func TestFaultEnds(t *testing.T) {
	c := newClock(10, 0, 0)
	r := newRig(t, sandbox.Options{Now: c.now})
	require.NoError(t, r.sim.SetFaults(
		sandbox.Fault{ID: "two", Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: -1, Next: 2},
		sandbox.Fault{ID: "minute", Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: 45009, For: sandbox.Duration(time.Minute)}))
	codes := []int{}
	for range 3 {
		codes = append(codes, r.send(text("zhangsan", "x")).Errcode)
	}
	require.Equal(t, []int{-1, -1, 45009}, codes)
	c.move(time.Minute)
	require.Zero(t, r.send(text("zhangsan", "x")).Errcode)
	require.Empty(t, r.sim.Faults())
	require.EqualValues(t, 3, r.sim.Counts().Faults)
}

func TestFaultProbabilityIsSeeded(t *testing.T) {
	run := func() (codes []int) {
		r := newRig(t, sandbox.Options{Seed: 42})
		require.NoError(t, r.sim.SetFaults(sandbox.Fault{Match: sandbox.Match{Op: sandbox.OpSend}, Errcode: -1, Probability: 0.5}))
		for range 40 {
			codes = append(codes, r.send(text("zhangsan", "x")).Errcode)
		}
		return codes
	}
	first := run()
	require.Contains(t, first, 0)
	require.Contains(t, first, -1)
	require.Equal(t, first, run())
}

func TestFaultsAreChecked(t *testing.T) {
	sim := sandbox.New(sandbox.Options{})
	for _, f := range []sandbox.Fault{
		{Errcode: 60020, Match: sandbox.Match{Op: "send"}}, // message/send: a name that matches nothing is a mistake
		{},
		{Errcode: 1, HTML: true},
		{Errcode: 1, Probability: 1.1},
		{Drop: "explode"},
		{Errcode: 1, When: "never"},
		{HTTPStatus: 99},
		{Errcode: 1, Next: -1},
		{Latency: sandbox.Duration(time.Hour)},
	} {
		require.Error(t, sim.SetFaults(f), "%+v", f)
	}
	require.Error(t, sim.SetFaults(make([]sandbox.Fault, sandbox.MaxFaults+1)...))
}

func TestDurationJSON(t *testing.T) {
	var f sandbox.Fault
	require.NoError(t, json.Unmarshal([]byte(`{"latency":"1.5s","for":250}`), &f))
	require.Equal(t, sandbox.Duration(1500*time.Millisecond), f.Latency)
	require.Equal(t, sandbox.Duration(250*time.Millisecond), f.For)
	require.Error(t, json.Unmarshal([]byte(`{"latency":"soon"}`), &f))
}
