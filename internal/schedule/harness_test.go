package schedule_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/catalog"
	"hongyan/internal/domain"
	"hongyan/internal/intake"
	"hongyan/internal/plan"
	"hongyan/internal/scene"
	"hongyan/internal/schedule"
	"hongyan/internal/store"
	"hongyan/internal/store/storetest"
)

// elsewhere stands for lanes that another node owns: what is accepted here
// stays in the database.
type elsewhere struct{}

func (elsewhere) Reserve(*domain.Delivery) bool            { return false }
func (elsewhere) Release(*domain.Delivery, bool)           {}
func (elsewhere) Begin(*domain.Delivery)                   {}
func (elsewhere) Offer(context.Context, []domain.Delivery) {}
func (elsewhere) Forget(string, ...string)                 {}
func (elsewhere) Foresee(d *domain.Delivery) []domain.Foreseen {
	return []domain.Foreseen{{Delivery: d}}
}

// node is a gateway without its edge and its sending.
type node struct {
	t         testing.TB
	store     *store.Store
	catalog   *catalog.Catalog
	schedules *schedule.Schedules
	cfg       schedule.Config
	stop      func()

	mu   sync.Mutex
	runs map[domain.RunResult]int
}

var root = domain.Caller{KeyID: "key_root", Scopes: []string{domain.ScopeAdmin}}

// newNode puts a node together; change may alter its configuration.
func newNode(t testing.TB, s *store.Store, change ...func(*schedule.Config)) *node {
	n := &node{t: t, store: s, runs: map[domain.RunResult]int{}}
	n.catalog = catalog.New(catalog.Config{Store: s, CheckScene: scene.Check, CheckSchedule: schedule.Check})
	require.NoError(t, n.catalog.Refresh(t.Context()))
	ids := &domain.IDs{}
	in := intake.New(intake.Config{
		Store: s, Lanes: elsewhere{}, Apps: n.catalog, Scenes: scene.New(n.catalog), Planner: plan.New(n.catalog, ids), IDs: ids,
	})
	n.cfg = schedule.Config{Catalog: n.catalog, Intake: in, Runs: s, OnRun: func(r domain.RunResult, k int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.runs[r] += k
	}}
	for _, f := range change {
		f(&n.cfg)
	}
	n.schedules = schedule.New(n.cfg)
	return n
}

// start runs the node until stop is called.
func (n *node) start() {
	ctx, cancel := context.WithCancel(n.t.Context())
	r := schedule.NewRunner(n.cfg)
	n.catalog.OnChange(func(kind domain.ResourceKind, _ string) {
		if kind == domain.ResourceSchedule {
			r.Changed()
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	wg.Go(func() { _ = n.catalog.Run(ctx) })
	n.stop = func() { cancel(); wg.Wait() }
}

// counts is how many runs ended how, on these nodes together.
func counts(nodes ...*node) map[domain.RunResult]int {
	out := map[domain.RunResult]int{}
	for _, n := range nodes {
		n.mu.Lock()
		for _, r := range slices.Collect(maps.Keys(n.runs)) {
			out[r] += n.runs[r]
		}
		n.mu.Unlock()
	}
	return out
}

// world stores the app and the scene that the tests send through.
func (n *node) world() {
	n.t.Helper()
	_, _, err := n.catalog.PutResource(n.t.Context(), domain.Resource{
		Kind: domain.ResourceApp, Key: "ops", Spec: json.RawMessage(`{"corp_id":"ww1","agent_id":1000002}`), Secrets: map[string]string{"secret": "s"},
	}, -1, "")
	require.NoError(n.t, err)
	n.scene(`{"type":"text","text":{"content":"早安 {{ .data.who }}"}}`)
}

func (n *node) scene(content string) {
	n.t.Helper()
	_, _, err := n.catalog.PutScene(n.t.Context(), domain.Scene{
		Key: "morning", App: "ops", Content: json.RawMessage(content),
		Variables: json.RawMessage(`{"type":"object","required":["who"],"properties":{"who":{"type":"string"}}}`),
	}, -1, "")
	require.NoError(n.t, err)
}

// daily is a schedule that the tests change as they like.
func daily(cron string, change ...func(*domain.Schedule)) domain.Schedule {
	s := domain.Schedule{Key: "daily", Cron: cron, Message: domain.SendRequest{
		Scene: &domain.SceneRef{Key: "morning"}, To: domain.To{Users: []string{"zhangsan"}}, Data: json.RawMessage(`{"who":"张三"}`),
	}}
	for _, f := range change {
		f(&s)
	}
	return s
}

func (n *node) put(s domain.Schedule) domain.ScheduleView {
	n.t.Helper()
	v, _, err := n.schedules.PutSchedule(n.t.Context(), root, s, -1)
	require.NoError(n.t, err)
	return v
}

func (n *node) get(key string) domain.ScheduleView {
	n.t.Helper()
	v, err := n.schedules.GetSchedule(n.t.Context(), root, key)
	require.NoError(n.t, err)
	return v
}

// made lists when the schedule's messages were accepted, oldest first.
func (n *node) made(key string) []string {
	n.t.Helper()
	p, err := n.store.ListMessages(n.t.Context(), domain.MessageFilter{Source: schedule.Source(key), Limit: 200})
	require.NoError(n.t, err)
	shanghai := zone(n.t, "Asia/Shanghai")
	var out []string
	for _, m := range slices.Backward(p.Items) {
		require.Equal(n.t, schedule.KeyID, m.Message.KeyID)
		out = append(out, m.Message.CreatedAt.In(shanghai).Format("01-02 15:04:05"))
	}
	return out
}

func (n *node) events() []string {
	n.t.Helper()
	evs, err := n.store.EventsAfter(n.t.Context(), 0, 1000)
	require.NoError(n.t, err)
	var out []string
	for _, e := range evs {
		if e.MessageID == "" {
			out = append(out, e.Type)
		}
	}
	return out
}

// bubble runs a test on virtual time, which begins at 2000-01-01 08:00 in
// Shanghai, with a fresh SQLite database.
func bubble(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	open := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) { test(t, open(t, "n1")) })
}

// sleepUntil lets virtual time pass until a wall clock time in Shanghai and
// all that is due then happen.
func sleepUntil(t *testing.T, at string) {
	t.Helper()
	when, err := time.ParseInLocation("2006-01-02 15:04:05", "2000-"+at, zone(t, "Asia/Shanghai"))
	require.NoError(t, err)
	time.Sleep(time.Until(when))
	synctest.Wait()
}
