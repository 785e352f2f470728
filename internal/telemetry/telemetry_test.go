package telemetry_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/telemetry"
)

func TestMetricsHaveTheDocumentedNames(t *testing.T) {
	m := telemetry.NewMetrics("1.2.3", "abc")
	m.Accepted("program-alert", "api")
	m.Accepted("", "schedule:daily")
	m.ScheduleRuns(domain.RunMissed, 3)
	m.Finished("sent", 1)
	m.Attempt("ops", "ok", 20*time.Millisecond)
	m.AddedLatency(time.Millisecond)
	m.LaneQueue("app:ops", 3, time.Second)
	m.RateWait("member_rate")
	m.Quota("ops", 1, 200)
	m.AppBlocked("ops", "bad_secret")
	m.AppBlocked("ops", "untrusted_ip")
	m.TokenRefresh("ops", "ok")
	m.Commit(time.Millisecond, 7)
	m.Request("/v1/messages", "POST", 202, time.Millisecond)
	m.Streams(1)
	m.LaneState("app:ops", 4, true)
	m.LaneState("app:erp", 0, false)
	m.LaneState("app:gone", 1, true)
	m.ForgetLane("app:gone")
	m.Digest("noise", 5)
	m.QuotaWarning("ops")
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	require.NoError(t, err)
	for _, want := range []string{
		`hongyan_messages_accepted_total{scene="program-alert",source="api"} 1`,
		`hongyan_messages_accepted_total{scene="",source="schedule"} 1`,
		`hongyan_schedule_runs_total{result="missed"} 3`,
		`hongyan_messages_finished_total{state="sent"} 1`,
		`hongyan_send_attempts_total{app="ops",class="ok"} 1`,
		`hongyan_send_duration_seconds_count 1`,
		`hongyan_queue_messages{lane="app:ops"} 3`,
		`hongyan_queue_oldest_age_seconds{lane="app:ops"} 1`,
		`hongyan_rate_waits_total{reason="member_rate"} 1`,
		`hongyan_quota_used{app="ops"} 1`,
		`hongyan_app_blocked{app="ops",cause="untrusted_ip"} 1`,
		`hongyan_token_refresh_total{app="ops",result="ok"} 1`,
		`hongyan_store_commit_seconds_count 1`,
		`hongyan_http_requests_total{method="POST",route="/v1/messages",status="202"} 1`,
		`hongyan_build_info{commit="abc",`,
		`hongyan_lane_parked{lane="app:ops"} 4`,
		`hongyan_lane_owned{lane="app:ops"} 1`,
		`hongyan_lane_owned{lane="app:erp"} 0`,
		`hongyan_digests_total{scene="noise"} 1`,
		`hongyan_digest_messages_total{scene="noise"} 5`,
		`hongyan_quota_warnings_total{app="ops"} 1`,
	} {
		require.Contains(t, string(body), want)
	}
	require.NotContains(t, string(body), "bad_secret")
	require.NotContains(t, string(body), "app:gone")
	m.AppBlocked("ops", "")
	var nothing *telemetry.Metrics
	nothing.Accepted("", "")
	nothing.AppBlocked("a", "b")
}

// Canaries in every shape in which a secret has ever reached a log.
func TestR49_LogsHoldNoSecret(t *testing.T) {
	const c = "CANARYcanary0123456789CANARY"
	for _, format := range []string{"json", "text"} {
		var b bytes.Buffer
		log := telemetry.NewLogger(&b, format, "debug")
		log.Info("start hy_"+c, "error", errors.New(`Get "https://x/cgi-bin/gettoken?corpid=ww1&corpsecret=`+c+`": EOF`))
		log.Warn("a", "url", "https://x/send?access_token="+c+"&debug=1", "header", "Bearer "+c)
		log.Debug("b", "body", `{"secret":"`+c+`","token": "`+c+`","response_code":"`+c+`"}`)
		log.Info("c", "token", c, "Secret", []byte(c), slog.Group("g", "password", c, "dsn", "postgres://u:"+c+"@h/db"))
		log.With("authorization", c).WithGroup("x").Info("d", "api_key", c)
		log.Info("e", "any", struct{ K string }{"hy_" + c}, "hook", "https://x/webhook/send?key="+c)
		require.NotContains(t, b.String(), c, format)
		require.Contains(t, b.String(), "corpid=ww1")
		require.Contains(t, b.String(), "debug=1")
	}
}

func TestR59_NoValueForgesALine(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var b bytes.Buffer
		log := telemetry.NewLogger(&b, format, "info")
		evil := "x\r\nlevel=ERROR msg=forged\u2028\x1b[31m"
		log.Info("m "+evil, "v", evil, "e", errors.New(evil))
		require.Equal(t, 1, strings.Count(b.String(), "\n"), b.String())
		require.NotContains(t, b.String(), "\r")
		require.NotContains(t, b.String(), "\x1b")
		require.NotContains(t, b.String(), "\u2028")
	}
}

func TestRedactLeavesTheRest(t *testing.T) {
	for _, s := range []string{"", "plain", "scene key: program-alert is fine"[:9], "listening on 127.0.0.1:8420", "errcode 60020, not allow to access from your ip", "https://qyapi.weixin.qq.com/cgi-bin"} {
		require.Equal(t, s, telemetry.Redact(s))
	}
}
