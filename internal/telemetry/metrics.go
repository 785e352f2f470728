// Package telemetry counts and logs. Metrics live in a registry of their own,
// named hongyan_…, and never carry an id or free text as a label. Logs go
// through a handler that masks keys, tokens and secrets and cannot be broken
// by line ends in a value.
package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hongyan/internal/domain"
)

// Metrics is every number the gateway shows. Methods are cheap and safe for
// concurrent use; a nil *Metrics counts nothing.
type Metrics struct {
	registry *prometheus.Registry

	accepted      *prometheus.CounterVec
	finished      *prometheus.CounterVec
	attempts      *prometheus.CounterVec
	sendSeconds   prometheus.Histogram
	queueMessages *prometheus.GaugeVec
	queueOldest   *prometheus.GaugeVec
	rateWaits     *prometheus.CounterVec
	quotaUsed     *prometheus.GaugeVec
	quotaLimit    *prometheus.GaugeVec
	quotaWarnings *prometheus.CounterVec
	laneParked    *prometheus.GaugeVec
	laneOwned     *prometheus.GaugeVec
	digests       *prometheus.CounterVec
	merged        *prometheus.CounterVec
	appBlocked    *prometheus.GaugeVec
	tokenRefresh  *prometheus.CounterVec
	commitSeconds prometheus.Histogram
	commitOps     prometheus.Histogram
	requests      *prometheus.CounterVec
	requestSecs   *prometheus.HistogramVec
	streams       prometheus.Gauge
	addedLatency  prometheus.Histogram
	scheduleRuns  *prometheus.CounterVec
}

// NewMetrics makes the metrics. Version and commit go into
// hongyan_build_info.
func NewMetrics(version, commit string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "hongyan", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "hongyan", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		v := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "hongyan", Name: name, Help: help, Buckets: buckets})
		m.registry.MustRegister(v)
		return v
	}
	fast := prometheus.ExponentialBuckets(0.0005, 2, 16) // 0.5 ms … 16 s

	m.accepted = counter("messages_accepted_total", "Messages durably accepted.", "scene", "source")
	m.scheduleRuns = counter("schedule_runs_total", "Runs of schedules: made, failed or missed; each counted by one node.", "result")
	m.finished = counter("messages_finished_total", "Messages that reached a final state.", "state")
	m.attempts = counter("send_attempts_total", "Calls to WeCom by class of the answer.", "app", "class")
	m.sendSeconds = histogram("send_duration_seconds", "Duration of one call to WeCom.", fast)
	m.addedLatency = histogram("send_added_latency_seconds", "From accept to the first call, for deliveries that had nothing to wait for.", fast)
	m.queueMessages = gauge("queue_messages", "Open deliveries.", "lane")
	m.queueOldest = gauge("queue_oldest_age_seconds", "For how long the oldest open delivery could have gone, were it not for limits, pauses and faults.", "lane")
	m.rateWaits = counter("rate_waits_total", "Deliveries put off, by reason.", "reason")
	m.quotaUsed = gauge("quota_used", "Member sends counted today against the app's daily quota.", "app")
	m.quotaLimit = gauge("quota_limit", "Daily quota of the app; 0 when unknown.", "app")
	m.quotaWarnings = counter("quota_warnings_total", "How often 80 % of an app's daily quota were reached.", "app")
	m.laneParked = gauge("lane_parked", "Deliveries that wait for a member's budget.", "lane")
	m.laneOwned = gauge("lane_owned", "1 on the node that sends this lane, 0 on the others.", "lane")
	m.digests = counter("digests_total", "Digests made, by scene.", "scene")
	m.merged = counter("digest_messages_total", "Deliveries that were merged into digests, by scene.", "scene")
	m.appBlocked = gauge("app_blocked", "1 while WeCom refuses the app for this cause.", "app", "cause")
	m.tokenRefresh = counter("token_refresh_total", "Access tokens fetched from WeCom.", "app", "result")
	m.commitSeconds = histogram("store_commit_seconds", "Duration of one group commit.", fast)
	m.commitOps = histogram("store_commit_operations", "Writes in one group commit.", prometheus.ExponentialBuckets(1, 2, 10))
	m.requests = counter("http_requests_total", "Requests answered, by route pattern.", "route", "method", "status")
	streams := gauge("http_event_streams", "Open event streams.")
	m.streams = streams.WithLabelValues()
	m.requestSecs = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "hongyan", Name: "http_request_duration_seconds", Help: "Duration of one request, by route pattern.", Buckets: fast,
	}, []string{"route"})
	m.registry.MustRegister(m.requestSecs)

	info := gauge("build_info", "Always 1; the labels say what runs.", "version", "commit", "go")
	info.WithLabelValues(version, commit, runtime.Version()).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in the text formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Registry is where further collectors may be added, such as database pools.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// ScheduleRuns counts runs of schedules that ended the same way.
func (m *Metrics) ScheduleRuns(result domain.RunResult, n int) {
	if m != nil {
		m.scheduleRuns.WithLabelValues(string(result)).Add(float64(n))
	}
}

// Accepted counts an accepted message; scene is its key or empty. Of a source
// such as schedule:daily only the kind is counted.
func (m *Metrics) Accepted(scene, source string) {
	if m != nil {
		source, _, _ = strings.Cut(source, ":")
		m.accepted.WithLabelValues(scene, source).Inc()
	}
}

// Finished counts messages that reached a final state.
func (m *Metrics) Finished(state string, n int) {
	if m != nil {
		m.finished.WithLabelValues(state).Add(float64(n))
	}
}

// Attempt counts one call to WeCom and how long it took.
func (m *Metrics) Attempt(app, class string, took time.Duration) {
	if m != nil {
		m.attempts.WithLabelValues(app, class).Inc()
		m.sendSeconds.Observe(took.Seconds())
	}
}

// AddedLatency notes the time from accept to the first call.
func (m *Metrics) AddedLatency(d time.Duration) {
	if m != nil {
		m.addedLatency.Observe(d.Seconds())
	}
}

// LaneQueue sets depth and oldest age of a lane.
func (m *Metrics) LaneQueue(lane string, depth int64, oldest time.Duration) {
	if m != nil {
		m.queueMessages.WithLabelValues(lane).Set(float64(depth))
		m.queueOldest.WithLabelValues(lane).Set(max(0, oldest.Seconds()))
	}
}

// LaneState sets how many deliveries of a lane wait for a member's budget, and
// whether this node sends it.
func (m *Metrics) LaneState(lane string, parked int, owned bool) {
	if m != nil {
		m.laneParked.WithLabelValues(lane).Set(float64(parked))
		m.laneOwned.WithLabelValues(lane).Set(map[bool]float64{true: 1}[owned])
	}
}

// Digest counts a digest and the deliveries that were merged into it.
func (m *Metrics) Digest(scene string, merged int) {
	if m != nil {
		m.digests.WithLabelValues(scene).Inc()
		m.merged.WithLabelValues(scene).Add(float64(merged))
	}
}

// QuotaWarning counts an app that has used most of its day.
func (m *Metrics) QuotaWarning(app string) {
	if m != nil {
		m.quotaWarnings.WithLabelValues(app).Inc()
	}
}

// ForgetLane drops the series of a lane that has ended.
func (m *Metrics) ForgetLane(lane string) {
	if m != nil {
		m.queueMessages.DeleteLabelValues(lane)
		m.queueOldest.DeleteLabelValues(lane)
		m.laneParked.DeleteLabelValues(lane)
		m.laneOwned.DeleteLabelValues(lane)
	}
}

// RateWait counts a delivery that was put off.
func (m *Metrics) RateWait(reason string) {
	if m != nil {
		m.rateWaits.WithLabelValues(reason).Inc()
	}
}

// Quota sets what an app has used of its daily quota.
func (m *Metrics) Quota(app string, used, limit int64) {
	if m != nil {
		m.quotaUsed.WithLabelValues(app).Set(float64(used))
		m.quotaLimit.WithLabelValues(app).Set(float64(limit))
	}
}

// AppBlocked says that an app is blocked for a cause; the empty cause says
// that it is not.
func (m *Metrics) AppBlocked(app, cause string) {
	if m == nil {
		return
	}
	m.appBlocked.DeletePartialMatch(prometheus.Labels{"app": app})
	if cause != "" {
		m.appBlocked.WithLabelValues(app, cause).Set(1)
	}
}

// ForgetApp drops the series of an app that was deleted.
func (m *Metrics) ForgetApp(app string) {
	if m == nil {
		return
	}
	for _, v := range []*prometheus.GaugeVec{m.appBlocked, m.quotaUsed, m.quotaLimit} {
		v.DeletePartialMatch(prometheus.Labels{"app": app})
	}
}

// TokenRefresh counts a gettoken; result is ok or an error class.
func (m *Metrics) TokenRefresh(app, result string) {
	if m != nil {
		m.tokenRefresh.WithLabelValues(app, result).Inc()
	}
}

// Commit notes one group commit.
func (m *Metrics) Commit(took time.Duration, operations int) {
	if m != nil {
		m.commitSeconds.Observe(took.Seconds())
		m.commitOps.Observe(float64(operations))
	}
}

// Request counts one answered request; route is the pattern, never the path.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	if m != nil {
		m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
		m.requestSecs.WithLabelValues(route).Observe(took.Seconds())
	}
}

// Streams adds to the number of open event streams.
func (m *Metrics) Streams(delta int) {
	if m != nil {
		m.streams.Add(float64(delta))
	}
}
