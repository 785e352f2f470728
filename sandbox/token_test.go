package sandbox_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/sandbox"
)

func TestGetTokenErrcodes(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	for _, c := range []struct {
		corp, secret string
		code         int
	}{
		{"", sandbox.DevSecret, 41002},
		{sandbox.DevCorpID, "", 41004},
		{"wwother", sandbox.DevSecret, 40013},
		{sandbox.DevCorpID, "wrong", 40001},
		{sandbox.DevCorpID, sandbox.DevSecret, 0},
	} {
		require.Equal(t, c.code, r.getToken(c.corp, c.secret).Errcode)
	}
}

func TestTokenIsRepeatedWhileValid(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	first := r.getToken(sandbox.DevCorpID, sandbox.DevSecret)
	require.Equal(t, 7200, first.ExpiresIn)
	r.sim.AdvanceClock(time.Hour)
	again := r.getToken(sandbox.DevCorpID, sandbox.DevSecret)
	require.Equal(t, first.AccessToken, again.AccessToken)
	require.InDelta(t, 3600, again.ExpiresIn, 2, "a repeat does not lengthen the life")
	r.sim.AdvanceClock(time.Hour)
	require.NotEqual(t, first.AccessToken, r.getToken(sandbox.DevCorpID, sandbox.DevSecret).AccessToken)
	r.tok = first.AccessToken
	require.Equal(t, 42001, r.send(text("zhangsan", "x")).Errcode)
}

func TestExpireTokens(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	for _, code := range []int{42001, 40014} {
		r.tok = ""
		require.Zero(t, r.send(text("zhangsan", "x")).Errcode)
		require.Equal(t, 1, r.sim.ExpireTokens(code))
		require.Equal(t, code, r.send(text("zhangsan", "x")).Errcode)
	}
	r.tok = "unknown"
	require.Equal(t, 40014, r.send(text("zhangsan", "x")).Errcode)
	require.Equal(t, 41001, r.get("/cgi-bin/message/send", nil).Errcode)
}

func TestWrongSecretsBanTheCaller(t *testing.T) {
	r := newRig(t, sandbox.Options{WrongSecrets: 3})
	for range 3 {
		require.Equal(t, 40001, r.getToken(sandbox.DevCorpID, "wrong").Errcode)
	}
	require.Equal(t, 45009, r.getToken(sandbox.DevCorpID, sandbox.DevSecret).Errcode)
	r.sim.AdvanceClock(time.Hour)
	require.Zero(t, r.getToken(sandbox.DevCorpID, sandbox.DevSecret).Errcode)
	require.EqualValues(t, 5, r.sim.Counts().GetToken)
}

func TestAppStates(t *testing.T) {
	r := newRig(t, sandbox.Options{CallerIP: "203.0.113.7"})
	app := r.sim.Apps()[0]
	r.token()

	app.TrustedIPs = []string{"198.51.100.0/24"}
	require.NoError(t, r.sim.PutApp(app))
	a := r.send(text("zhangsan", "x"))
	require.Equal(t, 60020, a.Errcode)
	require.Contains(t, a.Errmsg, "not allow to access from your ip, hint: [")
	require.Contains(t, a.Errmsg, "from ip: 203.0.113.7,")
	app.TrustedIPs = append(app.TrustedIPs, "203.0.113.7")
	require.NoError(t, r.sim.PutApp(app))
	require.Zero(t, r.send(text("zhangsan", "x")).Errcode)

	app.Secret = "another"
	require.NoError(t, r.sim.PutApp(app))
	require.Equal(t, 40014, r.send(text("zhangsan", "x")).Errcode)
	require.Equal(t, 40001, r.getToken(sandbox.DevCorpID, sandbox.DevSecret).Errcode)
	r.tok = r.getToken(sandbox.DevCorpID, "another").AccessToken

	app.Disabled = true
	require.NoError(t, r.sim.PutApp(app))
	require.Equal(t, 50003, r.send(text("zhangsan", "x")).Errcode)
}

func TestAgentGet(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	q := url.Values{"access_token": {r.token()}, "agentid": {"1000002"}}
	require.Zero(t, r.get("/cgi-bin/agent/get", q).Errcode)
	q.Set("agentid", "1000003")
	require.Equal(t, 301002, r.get("/cgi-bin/agent/get", q).Errcode)
}

func TestSeedMakesTokensRepeatable(t *testing.T) {
	one, two := newRig(t, sandbox.Options{Seed: 7}), newRig(t, sandbox.Options{Seed: 7})
	require.Equal(t, one.token(), two.token())
	require.NotEqual(t, newRig(t, sandbox.Options{}).token(), newRig(t, sandbox.Options{}).token())
}
