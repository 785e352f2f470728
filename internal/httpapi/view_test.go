package httpapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/i18n"
)

// TestNoAnswerIsNull: 0 is an errcode of WeCom's, so it does not stand for none.
func TestNoAnswerIsNull(t *testing.T) {
	for _, c := range []struct {
		a    domain.Attempt
		want string // http_status, errcode
	}{
		{domain.Attempt{Class: "ok", HTTPStatus: 200}, "200 0"},
		{domain.Attempt{Class: "payload", HTTPStatus: 200, Errcode: 40058}, "200 40058"},
		{domain.Attempt{Class: "transient", HTTPStatus: 200, Errcode: -1}, "200 -1"},
		{domain.Attempt{Class: "not_sent"}, "null null"},
		{domain.Attempt{Class: "ambiguous"}, "null null"},
		{domain.Attempt{Class: "ambiguous", HTTPStatus: 502}, "502 null"},
		{domain.Attempt{Class: "config"}, "null null"}, // the app is not configured any more
	} {
		v := deliveryView(&domain.DeliveryView{Attempts: []domain.Attempt{c.a}}, i18n.EN)
		require.Equal(t, c.want, null(t, v.Attempts[0].HTTPStatus)+" "+null(t, v.Attempts[0].Errcode), "%+v", c.a)
	}
	for _, c := range []struct {
		r    domain.Recipient
		want string
	}{
		{domain.Recipient{Outcome: domain.OutcomeAccepted}, "0"},
		{domain.Recipient{Outcome: domain.OutcomeInvalid}, "0"}, // beside others that were taken
		{domain.Recipient{Outcome: domain.OutcomeUnlicensed}, "0"},
		{domain.Recipient{Outcome: domain.OutcomeInvalid, Errcode: 81013}, "81013"},
		{domain.Recipient{Outcome: domain.OutcomeFailed, Errcode: 40058}, "40058"},
		{domain.Recipient{Outcome: domain.OutcomeExpired, Errcode: 45009}, "45009"}, // the last that was said
		{domain.Recipient{Outcome: domain.OutcomeFailed}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeWaiting}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeExpired}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeCancelled}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeMerged}, "null"},
		{domain.Recipient{Outcome: domain.OutcomeUncertain}, "null"},
	} {
		require.Equal(t, c.want, null(t, recipientView(c.r).Errcode), "%+v", c.r)
	}
}

func null(t *testing.T, n *int) string {
	t.Helper()
	raw, err := json.Marshal(n)
	require.NoError(t, err)
	return string(raw)
}

// TestExplainTellsWhatFollows: the same lost answer, under several policies.
func TestExplainTellsWhatFollows(t *testing.T) {
	now := time.Now()
	lost := domain.Attempt{Class: "ambiguous", StartedAt: now}
	odd := domain.Attempt{Class: "ambiguous", HTTPStatus: 502, StartedAt: now}
	unsent := domain.Attempt{Class: "not_sent", StartedAt: now}
	later := domain.Attempt{Class: "ok", StartedAt: now.Add(time.Minute)}
	waits := domain.Delivery{State: domain.StateQueued, WaitReason: domain.WaitBackoff, DueAt: now.Add(time.Minute)}
	guarded := waits
	guarded.DupInterval, guarded.DupUntil = 1800, now.Add(30*time.Minute)
	old := guarded
	old.DupUntil = now.Add(30 * time.Second)
	held := waits
	held.WaitReason = domain.WaitHeld
	for name, c := range map[string]struct {
		d        domain.Delivery
		attempts []domain.Attempt
		en, zh   string
	}{
		"covered":            {guarded, []domain.Attempt{lost}, "No answer of WeCom's came: it may or may not have the message. The same bytes are repeated under WeCom's duplicate check.", "没有收到企业微信的应答，消息可能已送达也可能没有。会在企业微信的重复检查保护下重发相同内容。"},
		"without a check":    {waits, []domain.Attempt{lost}, "No answer of WeCom's came: it may or may not have the message. The same bytes are repeated without WeCom's duplicate check: a second copy is possible.", ""},
		"after the check":    {old, []domain.Attempt{odd}, "HTTP status 502 came without an answer of WeCom's: it may or may not have the message. The same bytes are repeated without WeCom's duplicate check: a second copy is possible.", ""},
		"held":               {held, []domain.Attempt{lost}, "No answer of WeCom's came: it may or may not have the message. It waits for a person to release or drop it.", ""},
		"dropped":            {domain.Delivery{State: domain.StateUncertain}, []domain.Attempt{odd}, "HTTP status 502 came without an answer of WeCom's: it may or may not have the message. It is not repeated.", "收到 HTTP 状态 502，但不是企业微信的应答，消息可能已送达也可能没有。不再重发。"},
		"repeated since":     {domain.Delivery{State: domain.StateSent, DupInterval: 1800, DupUntil: now.Add(30 * time.Minute)}, []domain.Attempt{lost, later}, "No answer of WeCom's came: it may or may not have the message. The same bytes are repeated under WeCom's duplicate check.", ""},
		"not sent":           {waits, []domain.Attempt{unsent}, "It did not reach WeCom; nothing was sent. It is tried again.", "没有到达企业微信，消息没有发出。会自动重试。"},
		"expired meanwhile":  {domain.Delivery{State: domain.StateExpired}, []domain.Attempt{unsent}, "It did not reach WeCom; nothing was sent.", ""},
		"all is well":        {domain.Delivery{State: domain.StateSent}, []domain.Attempt{later}, "", ""},
		"an unknown errcode": {waits, []domain.Attempt{{Class: "payload", Errcode: 1}}, "WeCom's pages do not explain this errcode; it can be looked up at https://open.work.weixin.qq.com/devtool/query?e=1", "该错误码没有公开说明，可在 https://open.work.weixin.qq.com/devtool/query?e=1 查询"},
	} {
		t.Run(name, func(t *testing.T) {
			v := domain.DeliveryView{Delivery: c.d, Attempts: c.attempts}
			got := deliveryView(&v, i18n.EN).Attempts[0].Explain
			if c.en == "" {
				require.Nil(t, got)
				return
			}
			require.Equal(t, c.en, *got)
			if c.zh != "" {
				require.Equal(t, c.zh, *deliveryView(&v, i18n.ZH).Attempts[0].Explain)
			}
		})
	}
	require.Nil(t, deliveryView(&domain.DeliveryView{Delivery: held}, i18n.EN).NextAttemptAt)
	require.NotNil(t, deliveryView(&domain.DeliveryView{Delivery: waits}, i18n.EN).NextAttemptAt)
}

// TestTimesAreAsFineAsTheStore: else the answer to a POST and a later GET differ.
func TestTimesAreAsFineAsTheStore(t *testing.T) {
	at := time.Date(2026, 11, 24, 9, 0, 0, 123456789, time.FixedZone("", 8*3600))
	require.Equal(t, time.Date(2026, 11, 24, 1, 0, 0, 123456000, time.UTC), *timeOrNil(at))
	require.Nil(t, timeOrNil(time.Time{}))
}

// An errcode that WeCom's pages do not have is not passed over in silence.
func TestExplainUndocumented(t *testing.T) {
	t.Parallel()
	const page = "https://open.work.weixin.qq.com/devtool/query?e=987654"
	v := domain.DeliveryView{Attempts: []domain.Attempt{{Class: "payload", Errcode: 987654, HTTPStatus: 200}}}
	for lang, word := range map[i18n.Lang]string{i18n.EN: "errcode", i18n.ZH: "错误码"} {
		for _, text := range []*string{
			deliveryView(&v, lang).Attempts[0].Explain,
			healthView(domain.AppHealth{App: "ops", State: domain.HealthBlocked, Cause: "config", Errcode: 987654}, lang).Fix,
		} {
			require.NotNil(t, text)
			require.Contains(t, *text, page)
			require.Contains(t, *text, word)
		}
	}
}
