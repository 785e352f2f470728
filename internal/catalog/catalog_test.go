package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/catalog"
	"hongyan/internal/domain"
)

// memory is a store of resources in memory with the database's rules of
// versions and revisions.
type memory struct {
	mu       sync.Mutex
	rev      int64
	rows     map[domain.ResourceKind]map[string]domain.Resource
	versions map[string][]domain.SceneVersion
	broken   error
}

func newMemory() *memory {
	return &memory{rows: map[domain.ResourceKind]map[string]domain.Resource{}, versions: map[string][]domain.SceneVersion{}}
}

func (m *memory) Revision(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rev, m.broken
}

func (m *memory) ListResources(_ context.Context, kind domain.ResourceKind) ([]domain.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.rows[kind])), m.broken
}

func (m *memory) PutResource(_ context.Context, r domain.Resource, ifMatch int64) (domain.Resource, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows[r.Kind] == nil {
		m.rows[r.Kind] = map[string]domain.Resource{}
	}
	old, exists := m.rows[r.Kind][r.Key]
	if ifMatch >= 0 && ifMatch != old.Version {
		return domain.Resource{}, false, domain.Errorf(domain.CodePreconditionFailed, "version is %d", old.Version)
	}
	r.Version = old.Version + 1
	secrets := maps.Clone(old.Secrets)
	if secrets == nil {
		secrets = map[string]string{}
	}
	maps.Copy(secrets, r.Secrets)
	r.Secrets = secrets
	m.rows[r.Kind][r.Key] = r
	m.rev++
	return r, !exists, nil
}

func (m *memory) DeleteResource(_ context.Context, kind domain.ResourceKind, key string, _ int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows[kind], key)
	m.rev++
	return nil
}

func (m *memory) PutScene(ctx context.Context, s domain.Scene, by, reason string, ifMatch int64) (domain.SceneVersion, bool, error) {
	spec, err := json.Marshal(s)
	if err != nil {
		return domain.SceneVersion{}, false, err
	}
	r, created, err := m.PutResource(ctx, domain.Resource{Kind: domain.ResourceScene, Key: s.Key, Spec: spec}, ifMatch)
	v := domain.SceneVersion{Key: s.Key, Version: int(r.Version), Scene: s, By: by, Reason: reason, Live: true}
	m.versions[s.Key] = append(m.versions[s.Key], v)
	return v, created, err
}

func (m *memory) ListSceneVersions(_ context.Context, key string, _ int, _ string) ([]domain.SceneVersion, string, error) {
	return m.versions[key], "", nil
}

func (m *memory) GetSceneVersion(_ context.Context, key string, version int) (domain.SceneVersion, error) {
	if version < 1 || version > len(m.versions[key]) {
		return domain.SceneVersion{}, domain.Errorf(domain.CodeNotFound, "no version %d", version)
	}
	return m.versions[key][version-1], nil
}

const opsSpec = `{"corp_id":"wwfeedfacecafe0001","agent_id":1000002,"base_url":"http://127.0.0.1:8421"}`

func put(t *testing.T, c *catalog.Catalog, kind domain.ResourceKind, key, spec string, secrets map[string]string) error {
	t.Helper()
	_, _, err := c.PutResource(t.Context(), domain.Resource{Kind: kind, Key: key, Spec: json.RawMessage(spec), Secrets: secrets}, -1, "key_x")
	return err
}

func TestWritesAreLiveAtOnce(t *testing.T) {
	c := catalog.New(catalog.Config{Store: newMemory()})
	var changes []string
	c.OnChange(func(kind domain.ResourceKind, key string) { changes = append(changes, string(kind)+":"+key) })
	require.NoError(t, put(t, c, domain.ResourceApp, "ops", opsSpec, map[string]string{"secret": "s3cret"}))
	a, ok := c.App("ops")
	require.True(t, ok)
	require.Equal(t, "s3cret", a.Secret)
	require.Equal(t, "ops", a.Key)

	// Without a secret the old one stays; it is nowhere in the spec.
	require.NoError(t, put(t, c, domain.ResourceApp, "ops", strings.Replace(opsSpec, "1000002", "1000003", 1), nil))
	a, _ = c.App("ops")
	require.Equal(t, "s3cret", a.Secret)
	require.EqualValues(t, 1000003, a.AgentID)
	r, err := c.GetResource(t.Context(), domain.ResourceApp, "ops")
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Version)
	require.NotContains(t, string(r.Spec), "s3cret")

	_, _, err = c.PutResource(t.Context(), domain.Resource{Kind: domain.ResourceApp, Key: "ops", Spec: json.RawMessage(opsSpec)}, 1, "")
	require.Equal(t, domain.CodePreconditionFailed, domain.CodeOf(err))
	require.Equal(t, []string{"app:ops", "app:ops"}, changes)
	require.Len(t, c.Apps(), 1)

	require.NoError(t, c.DeleteResource(t.Context(), domain.ResourceApp, "ops", -1, ""))
	_, err = c.GetResource(t.Context(), domain.ResourceApp, "ops")
	require.Equal(t, domain.CodeAppNotFound, domain.CodeOf(err))
}

func TestValidation(t *testing.T) {
	for _, tc := range []struct {
		kind               domain.ResourceKind
		key, spec, pointer string
		rule               string
	}{
		{domain.ResourceApp, "Ops!", opsSpec, "/key", "key"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"wat":1}`, "/wat", "unknown"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":"1"}`, "/agent_id", "type"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"limits":{"concurrency":"x"}}`, "/limits/concurrency", "type"},
		{domain.ResourceApp, "ops", `[]`, "", "type"},
		{domain.ResourceApp, "ops", `{"agent_id":1}`, "/corp_id", "required"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww\u0000","agent_id":1}`, "/corp_id", "format"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"base_url":"http://127.0.0.1:99999"}`, "/base_url", "port"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"proxy":"socks5://127.0.0.1:0"}`, "/proxy", "port"},
		{domain.ResourceAudience, "a", `{"departments":["2","x"]}`, "/departments/1", "department"},
		{domain.ResourceAudience, "a", `{"departments":["-1"]}`, "/departments/0", "department"},
		{domain.ResourceAudience, "a", `{"departments":["0"]}`, "/departments/0", "department"},
		{domain.ResourceAudience, "a", `{"departments":["2","02"]}`, "/departments/1", "department"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1"}`, "/agent_id", "minimum"},
		{domain.ResourceApp, "ops", `{"key":"other","corp_id":"ww1","agent_id":1}`, "/key", "mismatch"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"base_url":"ftp://x"}`, "/base_url", "scheme"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"base_url":"https://u:p@x"}`, "/base_url", "url"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"proxy":"ssh://x"}`, "/proxy", "scheme"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"accounts":-1}`, "/accounts", "range"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"accounts":10000001}`, "/accounts", "range"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"limits":{"member_per_minute":-1}}`, "/limits/member_per_minute", "range"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"limits":{"member_per_minute":100001}}`, "/limits/member_per_minute", "range"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"limits":{"chat_member_per_day":-1}}`, "/limits/chat_member_per_day", "range"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"limits":{"chat_persons_per_hour":1000001}}`, "/limits/chat_persons_per_hour", "range"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"limits":{"member_per_hour":1000001}}`, "/limits/member_per_hour", "range"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"limits":{"concurrency":257}}`, "/limits/concurrency", "range"},
		{domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1,"token":{"redis_format":"xml"}}`, "/token/redis_format", "enum"},
		{domain.ResourceAudience, "a", `{"users":["ok","a|b"]}`, "/users/1", "format"},
		{domain.ResourceAudience, "a", `{"audiences":["a"]}`, "/audiences/0", "cycle"},
		{domain.ResourceAudience, "loop", `{"audiences":["inner"]}`, "/audiences/0", "cycle"},
		{domain.ResourceRobot, "r", `{"limits":{"per_minute":-1}}`, "/limits/per_minute", "range"},
		{domain.ResourceRobot, "r", `{"limits":{"per_minute":10001}}`, "/limits/per_minute", "range"},
		{domain.ResourceRobot, "r", `{"base_url":"https://x/?key=1"}`, "/base_url", "url"},
		{domain.ResourceRobot, "r", `{"proxy":"ssh://x"}`, "/proxy", "scheme"},
		{domain.ResourceRobot, "r", `{"key":"s"}`, "/key", "mismatch"},
		{domain.ResourceRobot, "r", `{"corp_id":"ww1"}`, "/corp_id", "unknown"},
		{domain.ResourceScene, "s", `{}`, "/kind", "unsupported"},
	} {
		c := catalog.New(catalog.Config{Store: newMemory()})
		require.NoError(t, put(t, c, domain.ResourceAudience, "inner", `{"audiences":["loop"]}`, nil))
		err := put(t, c, tc.kind, tc.key, tc.spec, map[string]string{"secret": "s", "webhook_key": "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"})
		var e *domain.Error
		require.ErrorAs(t, err, &e, tc.spec)
		require.Equal(t, domain.CodeInvalid, e.Code)
		require.Equal(t, tc.pointer+" "+tc.rule, e.Fields[0].Pointer+" "+e.Fields[0].Code, tc.spec)
	}
	c := catalog.New(catalog.Config{Store: newMemory()})
	require.ErrorContains(t, put(t, c, domain.ResourceApp, "ops", opsSpec, nil), "/secret")
	require.ErrorContains(t, put(t, c, domain.ResourceRobot, "room", `{}`, nil), "/webhook_key")
	const address = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6"
	err := put(t, c, domain.ResourceRobot, "room", `{}`, map[string]string{"webhook_key": address})
	require.ErrorContains(t, err, "/webhook_key", "the whole address is not the key")
	require.NotContains(t, err.Error(), "693a91f6")
}

func TestRobots(t *testing.T) {
	c := catalog.New(catalog.Config{Store: newMemory()})
	const spec = `{"name":"运维群","proxy":"http://me:pa55@10.0.0.1:3128","limits":{"per_minute":15}}`
	require.NoError(t, put(t, c, domain.ResourceRobot, "room", spec, map[string]string{"webhook_key": "693a91f6-7"}))
	want := domain.Robot{Key: "room", Name: "运维群", Proxy: "http://me:pa55@10.0.0.1:3128", Limits: domain.RobotLimits{PerMinute: 15}, WebhookKey: "693a91f6-7"}
	r, ok := c.Robot("room")
	require.True(t, ok)
	require.Equal(t, want, r)
	stored, err := c.GetResource(t.Context(), domain.ResourceRobot, "room")
	require.NoError(t, err)
	require.NotContains(t, string(stored.Spec), "693a91f6")
	require.NotContains(t, string(stored.Spec), "pa55")

	require.NoError(t, put(t, c, domain.ResourceRobot, "room", strings.Replace(spec, "pa55", "***", 1), nil), "both secrets stay")
	r, _ = c.Robot("room")
	require.Equal(t, want, r)
	require.ErrorContains(t, put(t, c, domain.ResourceRobot, "room", `{"proxy":"http://me:***@10.0.0.2:3128"}`, nil), "/proxy")

	_, _, err = c.PutScene(t.Context(), domain.Scene{Key: "alert", To: domain.To{Robots: []string{"room"}}}, -1, "")
	require.NoError(t, err)
	err = c.DeleteResource(t.Context(), domain.ResourceRobot, "room", -1, "")
	require.Equal(t, domain.CodeInUse, domain.CodeOf(err))
	require.ErrorContains(t, err, `scene "alert"`)
	_, _, err = c.PutScene(t.Context(), domain.Scene{Key: "alert"}, -1, "")
	require.NoError(t, err)
	require.NoError(t, c.DeleteResource(t.Context(), domain.ResourceRobot, "room", -1, ""))
	_, ok = c.Robot("room")
	require.False(t, ok)
}

func TestScenes(t *testing.T) {
	c := catalog.New(catalog.Config{Store: newMemory(), CheckScene: func(s domain.Scene) []domain.FieldError {
		if s.Title == "bad" {
			return []domain.FieldError{{Pointer: "/title"}}
		}
		return nil
	}})
	require.NoError(t, put(t, c, domain.ResourceApp, "ops", opsSpec, map[string]string{"secret": "s"}))
	code := 12
	s := domain.Scene{Key: "alert", Code: &code, App: "ops", Title: "one", Content: json.RawMessage(`{}`)}
	_, created, err := c.PutScene(t.Context(), s, -1, "key_a")
	require.NoError(t, err)
	require.True(t, created)
	got, version, ok := c.SceneByCode(12)
	require.True(t, ok)
	require.Equal(t, 1, version)
	require.Equal(t, "alert", got.Key)

	_, _, err = c.PutScene(t.Context(), domain.Scene{Key: "other", Code: &code}, -1, "")
	require.ErrorContains(t, err, "/code")
	_, _, err = c.PutScene(t.Context(), domain.Scene{Key: "other", App: "nope"}, -1, "")
	require.ErrorContains(t, err, "/app")
	_, _, err = c.PutScene(t.Context(), domain.Scene{Key: "other", Title: "bad"}, -1, "")
	require.ErrorContains(t, err, "/title")
	require.Equal(t, domain.CodeInUse, domain.CodeOf(c.DeleteResource(t.Context(), domain.ResourceApp, "ops", -1, "")))

	s.Title = "two"
	_, _, err = c.PutScene(t.Context(), s, 1, "key_a")
	require.NoError(t, err)
	v, err := c.RollbackScene(t.Context(), "alert", 1, -1, "key_b")
	require.NoError(t, err)
	require.Equal(t, 3, v.Version)
	got, _, _ = c.Scene("alert")
	require.Equal(t, "one", got.Title)
	_, err = c.RollbackScene(t.Context(), "alert", 9, -1, "")
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	_, err = c.RollbackScene(t.Context(), "none", 1, -1, "")
	require.Equal(t, domain.CodeSceneNotFound, domain.CodeOf(err))
}

func TestRunSeesOtherNodesAndKeepsWhatWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		store := newMemory()
		here := catalog.New(catalog.Config{Store: store})
		there := catalog.New(catalog.Config{Store: store})
		done := make(chan error)
		go func() { done <- here.Run(ctx) }()
		synctest.Wait()
		require.NoError(t, put(t, there, domain.ResourceApp, "ops", opsSpec, map[string]string{"secret": "s"}))
		_, ok := here.App("ops")
		require.False(t, ok)
		time.Sleep(1500 * time.Millisecond) // on synctest's clock
		_, ok = here.App("ops")
		require.True(t, ok)

		store.mu.Lock()
		r := store.rows[domain.ResourceApp]["ops"]
		r.Spec, r.Version = json.RawMessage(`{broken`), 9
		store.rows[domain.ResourceApp]["ops"] = r
		store.rev++
		store.mu.Unlock()
		here.Changed()
		synctest.Wait()
		a, ok := here.App("ops")
		require.True(t, ok, "a broken row must not take the app away")
		require.EqualValues(t, 1000002, a.AgentID)

		store.mu.Lock()
		store.broken = errors.New("database is away")
		store.mu.Unlock()
		time.Sleep(5 * time.Second)
		_, ok = here.App("ops")
		require.True(t, ok)
		cancel()
		require.NoError(t, <-done)
	})
}

// TestNothingIsDeletedThatIsNeeded deletes what scenes, audiences and schedules
// name, in every way in which they can; a schedule that is off needs nothing.
func TestNothingIsDeletedThatIsNeeded(t *testing.T) {
	c := catalog.New(catalog.Config{
		Store: newMemory(), CheckScene: func(domain.Scene) []domain.FieldError { return nil },
		CheckSchedule: func(domain.Schedule) []domain.FieldError { return nil },
	})
	require.NoError(t, c.Refresh(t.Context()))
	secret := map[string]string{"secret": "s"}
	require.NoError(t, put(t, c, domain.ResourceApp, "ops", `{"corp_id":"ww1","agent_id":1}`, secret))
	require.NoError(t, put(t, c, domain.ResourceAudience, "oncall", `{"users":["a"]}`, nil))
	require.NoError(t, put(t, c, domain.ResourceAudience, "night", `{"users":["b"]}`, nil))
	code := 12
	_, _, err := c.PutScene(t.Context(), domain.Scene{Key: "alert", Code: &code}, -1, "")
	require.NoError(t, err)
	used := func(kind domain.ResourceKind, key string) string {
		err := c.DeleteResource(t.Context(), kind, key, -1, "")
		require.Equal(t, domain.CodeInUse, domain.CodeOf(err), "%s %s", kind, key)
		return err.Error()
	}
	schedule := func(key, message string) {
		require.NoError(t, put(t, c, domain.ResourceSchedule, key, `{"cron":"@daily","message":`+message+`}`, nil))
	}
	schedule("by-key", `{"scene":"alert"}`)
	schedule("by-code", `{"scene":12,"to":{"audiences":["oncall"]}}`)
	schedule("direct", `{"app":"ops","type":"text"}`)
	schedule("only-app", `{"type":"text"}`)
	require.Contains(t, used(domain.ResourceScene, "alert"), `schedule "by-code", schedule "by-key"`)
	require.Contains(t, used(domain.ResourceAudience, "oncall"), `schedule "by-code"`)
	require.Contains(t, used(domain.ResourceApp, "ops"), `schedule "direct", schedule "only-app"`)
	require.NoError(t, put(t, c, domain.ResourceApp, "erp", `{"corp_id":"ww1","agent_id":2}`, secret))
	require.NotContains(t, used(domain.ResourceApp, "ops"), "only-app", "there are two now")
	require.NoError(t, c.DeleteResource(t.Context(), domain.ResourceAudience, "night", -1, ""))
	for _, key := range []string{"by-key", "by-code", "direct", "only-app"} {
		require.NoError(t, put(t, c, domain.ResourceSchedule, key, `{"cron":"@daily","enabled":false,"message":{"scene":"alert","app":"ops","to":{"audiences":["oncall"]}}}`, nil))
	}
	for i := range 12 {
		schedule(fmt.Sprintf("s%02d", i), `{"scene":"alert"}`)
	}
	require.Contains(t, used(domain.ResourceScene, "alert"), `schedule "s09" and 2 more`)
	for i := range 12 {
		require.NoError(t, c.DeleteResource(t.Context(), domain.ResourceSchedule, fmt.Sprintf("s%02d", i), -1, ""))
	}
	require.NoError(t, c.DeleteResource(t.Context(), domain.ResourceScene, "alert", -1, ""))
	require.NoError(t, c.DeleteResource(t.Context(), domain.ResourceAudience, "oncall", -1, ""))
	require.NoError(t, c.DeleteResource(t.Context(), domain.ResourceApp, "ops", -1, ""))
}

// Apps that are one at WeCom are taken, and warned of.
func TestTwinsAreWarnedOf(t *testing.T) {
	var log strings.Builder
	c := catalog.New(catalog.Config{Store: newMemory(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	secret := map[string]string{"secret": "s"}
	spec := func(agent int, base string) string {
		return fmt.Sprintf(`{"corp_id":"ww1","agent_id":%d,"base_url":%q}`, agent, base)
	}
	warned := func() string {
		defer log.Reset()
		return log.String()
	}
	require.NoError(t, put(t, c, domain.ResourceApp, "a", spec(1, ""), secret))
	require.NoError(t, put(t, c, domain.ResourceApp, "b", spec(2, ""), secret))
	require.NoError(t, put(t, c, domain.ResourceApp, "relay", spec(1, "http://relay"), secret))
	require.Empty(t, warned())
	require.NoError(t, put(t, c, domain.ResourceApp, "c", spec(1, "https://qyapi.weixin.qq.com/"), secret))
	require.Contains(t, warned(), `apps="a, c"`)
	require.NoError(t, put(t, c, domain.ResourceApp, "b", spec(3, ""), secret))
	require.Empty(t, warned(), "another app was saved")
	c.WarnTwins(t.Context(), "")
	require.Equal(t, 1, strings.Count(warned(), `apps="a, c"`))
}
