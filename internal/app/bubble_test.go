package app_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/catalog"
	"hongyan/internal/digest"
	"hongyan/internal/directory"
	"hongyan/internal/dispatch"
	"hongyan/internal/domain"
	"hongyan/internal/intake"
	"hongyan/internal/lane"
	"hongyan/internal/plan"
	"hongyan/internal/scene"
	"hongyan/internal/seal"
	"hongyan/internal/store"
	"hongyan/sandbox"
)

// bubble is the product on virtual time: a real SQLite store, the real lanes,
// pacing and senders of one or more nodes, and the sandbox behind a wire of
// its own. It must be made inside synctest.Test. An hour takes as long as the
// work in it.
type bubble struct {
	t     *testing.T
	store *store.Store
	wecom *sandbox.Server
	wire  *wire
	pipes *pipes // instead of the wire
	logs  *logLines
	ids   *domain.IDs
	began time.Time

	mu    sync.Mutex
	nodes []*node

	// directory is what nodes that start from now on know of departments.
	directory dispatch.Directory
}

// node is one gateway without its listeners.
type node struct {
	name     string
	gate     *gate
	engine   *lane.Engine
	sender   *dispatch.Sender
	operator *dispatch.Operator
	catalog  *catalog.Catalog
	intake   *intake.Intake
	chats    *directory.Chats
	stop     context.CancelFunc // of what runs beside the engine
	dead     bool
}

func newBubble(t *testing.T, opt sandbox.Options) *bubble {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "hongyan-bubble-")
	require.NoError(t, err)
	ring, _, err := seal.Generate()
	require.NoError(t, err)
	s, err := store.Open(t.Context(), store.Config{DataDir: dir, Node: "bubble", Seal: ring})
	require.NoError(t, err)
	if opt.MembersPattern == nil {
		opt.MembersPattern = loadMembers
	}
	opt.LedgerSize, opt.LedgerBytes = 200_000, 1<<30
	b := &bubble{t: t, store: s, wecom: sandbox.New(opt), logs: &logLines{}, ids: &domain.IDs{}, began: time.Now()}
	b.wire = &wire{to: b.wecom, seen: map[uint64]uint64{}}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return b
}

// memory is a folder without a disk behind it, where there is one: nothing
// here is about power cuts.
func memory() string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// close ends everything; a bubble must not end with goroutines in it.
func (b *bubble) close() {
	for _, n := range b.nodes {
		b.kill(n)
	}
	time.Sleep(time.Minute) // calls in flight end
	b.wecom.Close()
	if b.pipes != nil {
		b.pipes.close()
	}
	require.NoError(b.t, b.store.Close())
	synctest.Wait()
}

// start adds a node.
func (b *bubble) start(name string) *node {
	b.t.Helper()
	ctx := context.WithoutCancel(b.t.Context())
	n := &node{name: name, gate: newGate(b.store)}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(testLog{b.t}, b.logs), &slog.HandlerOptions{Level: slog.LevelWarn}))
	n.catalog = catalog.New(catalog.Config{Store: b.store, CheckScene: scene.Check})
	require.NoError(b.t, n.catalog.Refresh(ctx))
	scenes := scene.New(n.catalog)
	n.chats = directory.NewChats(b.store, log)
	require.NoError(b.t, n.chats.Load(ctx))
	n.sender = dispatch.New(dispatch.Config{
		Apps: n.catalog, Robots: n.catalog, History: b.store, Directory: b.directory, Chat: n.chats.Members, Tokens: b.store, Media: b.store, Health: b.store, IDs: b.ids, Node: name, Logger: log,
		Transport: func(domain.App) (*http.Client, error) {
			if b.pipes != nil {
				return b.pipes.client()
			}
			return &http.Client{Transport: b.wire}, nil
		},
	})
	_, err := n.sender.Health().Load(ctx)
	require.NoError(b.t, err)
	n.chats.ReadFrom(dispatch.NewDirectorySource(n.sender))
	follow := &intake.Follow{}
	n.engine = lane.New(lane.Config{
		Node: name, Logger: log, Weight: n.catalog.Weight, OnFinal: follow.Finished,
		Digests: digest.New(digest.Config{Apps: n.catalog, Scenes: scenes, IDs: b.ids, Calls: plan.Calls{}}), Notices: n.gate.heard,
		OnBeat: func(ctx context.Context) { n.operator.Sync(ctx) },
	}, n.gate, n.sender)
	n.operator = dispatch.NewOperator(n.sender, n.engine, n.gate)
	n.catalog.OnChange(func(kind domain.ResourceKind, key string) {
		switch kind {
		case domain.ResourceApp:
			n.operator.Changed(key)
		case domain.ResourceRobot:
			n.operator.Changed(domain.LaneKey(domain.LaneRobot, key))
		default:
		}
	})
	n.gate.hooks.others = func(x domain.Notice) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, o := range b.nodes {
			if o != n {
				select {
				case o.gate.heard <- x:
				default:
				}
			}
		}
	}
	n.intake = intake.New(intake.Config{
		Store: n.gate, Lanes: n.engine, Apps: n.catalog, Scenes: scenes, Planner: plan.New(n.catalog, b.ids), IDs: b.ids, Follow: follow,
	})
	b.mu.Lock()
	b.nodes = append(b.nodes, n)
	b.mu.Unlock()
	require.NoError(b.t, n.engine.Start(ctx))
	ctx, n.stop = context.WithCancel(ctx)
	go n.chats.Run(ctx)
	return n
}

// kill ends a node as kill -9 does: nothing that it still thinks reaches the
// database.
func (b *bubble) kill(n *node) {
	if n.dead {
		return
	}
	n.dead = true
	n.gate.close()
	n.stop()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.engine.Stop(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, o := range b.nodes {
		if o == n {
			b.nodes = append(b.nodes[:i:i], b.nodes[i+1:]...)
			break
		}
	}
}

// pair starts two nodes. The first owns the lane of the app ops, which is warm,
// and both know the scene plain.
func (b *bubble) pair() (first, second *node) {
	b.t.Helper()
	first = b.start("n1")
	first.app(b.t, "ops", nil)
	first.scene(b.t, "plain", domain.Policy{})
	first.submit(b.t, request("plain", "warm", "load-0"))
	b.drained(time.Second)
	second = b.start("n2")
	require.NoError(b.t, second.catalog.Refresh(b.t.Context()))
	return first, second
}

// app saves an app.
func (n *node) app(t *testing.T, key string, edit func(a *domain.App)) {
	t.Helper()
	a := domain.App{Key: key, CorpID: sandbox.DevCorpID, AgentID: sandbox.DevAgentID, BaseURL: "http://wecom.bubble"}
	if edit != nil {
		edit(&a)
	}
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	_, _, err = n.catalog.PutResource(t.Context(), domain.Resource{
		Kind: domain.ResourceApp, Key: key, Spec: raw, Secrets: map[string]string{"secret": cmp.Or(a.Secret, sandbox.DevSecret)},
	}, -1, "")
	require.NoError(t, err)
}

// robot saves a robot.
func (n *node) robot(t *testing.T, key, webhookKey string) {
	t.Helper()
	_, _, err := n.catalog.PutResource(t.Context(), domain.Resource{
		Kind: domain.ResourceRobot, Key: key, Spec: json.RawMessage(`{"base_url":"http://wecom.bubble"}`), Secrets: map[string]string{"webhook_key": webhookKey},
	}, -1, "")
	require.NoError(t, err)
}

// scene saves a scene with a text that shows data.text.
func (n *node) scene(t *testing.T, key string, p domain.Policy) {
	t.Helper()
	_, _, err := n.catalog.PutScene(t.Context(), domain.Scene{
		Key: key, Title: key, App: "ops", Policy: p, Content: json.RawMessage(`{"type":"text","text":{"content":"{{ .data.text }}"}}`),
	}, -1, "")
	require.NoError(t, err)
}

var anybody = domain.Caller{KeyID: "key_sim", Scopes: []string{domain.ScopeAdmin}}

// request is a message of a scene to users.
func request(scene, text string, users ...string) domain.SendRequest {
	data, _ := json.Marshal(map[string]string{"text": text})
	return domain.SendRequest{Scene: &domain.SceneRef{Key: scene}, Data: data, To: domain.To{Users: users}}
}

// submit accepts messages in batches and returns their ids.
func (n *node) submit(t *testing.T, reqs ...domain.SendRequest) []string {
	t.Helper()
	var ids []string
	for len(reqs) > 0 {
		part := reqs[:min(len(reqs), 1000)]
		reqs = reqs[len(part):]
		items, _, err := n.intake.SubmitBatch(context.WithoutCancel(t.Context()), anybody, part, domain.SubmitOptions{})
		require.NoError(t, err)
		for i := range items {
			require.Nil(t, items[i].Err)
			ids = append(ids, items[i].Accepted.ID)
		}
	}
	return ids
}

// drained waits until no delivery is open.
func (b *bubble) drained(limit time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(time.Second) {
		stats, err := b.store.LaneStats(b.t.Context())
		require.NoError(b.t, err)
		open := int64(0)
		for _, s := range stats {
			open += s.Depth
		}
		if open == 0 {
			return
		}
		require.True(b.t, time.Now().Before(end), "%d deliveries are still open after %s: %+v", open, limit, stats)
	}
}

// gate stands between a node and the database: closed, the node is dead.
type gate struct {
	*store.Store
	dead    atomic.Bool
	away    atomic.Bool  // the database cannot be reached
	reports atomic.Int64 // of lanes that were stored
	// doubtful is how many of the next commits happen and are reported as failed.
	doubtful atomic.Int64
	// refused is how many of the next commits do not happen, as everybody knows.
	refused atomic.Int64
	// broken is how many of the next deferrals, settlements and splits fail.
	broken atomic.Int64
	// blind makes every reading of waiting deliveries fail.
	blind  atomic.Bool
	mu     sync.Mutex
	frozen chan struct{} // closed when the node may go on; nil: it runs
	hooks  gateHooks
	heard  chan domain.Notice
}

// gateHooks are called while a node works.
type gateHooks struct {
	others func(domain.Notice)
	read   func()          // after each reading of a stream, before the node sees it; may be nil
	giving func(to string) // before a lane is handed over; may be nil
}

// hook changes the hooks of a node that may be working.
func (g *gate) hook(change func(h *gateHooks)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&g.hooks)
}

func (g *gate) hooked() gateHooks {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hooks
}

var (
	errDead   = errors.New("this node is dead")
	errBroken = errors.New("nothing was written")
	errAway   = domain.Errorf(domain.CodeUnavailable, "the database cannot be reached")
	errDoubt  = fmt.Errorf("this was committed: %w", domain.ErrInDoubt)
)

func newGate(s *store.Store) *gate { return &gate{Store: s, heard: make(chan domain.Notice, 64)} }

func (g *gate) close() {
	g.dead.Store(true)
	g.thaw()
}

// freeze stops the node where it next touches the database, as SIGSTOP does.
func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen == nil {
		g.frozen = make(chan struct{})
	}
}

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.frozen != nil {
		close(g.frozen)
		g.frozen = nil
	}
}

func (g *gate) pass() error {
	g.mu.Lock()
	wait := g.frozen
	g.mu.Unlock()
	if wait != nil {
		<-wait
	}
	switch {
	case g.dead.Load():
		return errDead
	case g.away.Load():
		return errAway
	}
	return nil
}

func (g *gate) LoadStream(ctx context.Context, key string, p domain.Priority, scene string, now time.Time, after domain.DueAfter, limit int) ([]domain.Delivery, error) {
	ds, err := g.Store.LoadStream(ctx, key, p, scene, now, after, limit)
	if h := g.hooked(); h.read != nil {
		h.read()
	}
	return ds, err
}

func (g *gate) LoadOpen(ctx context.Context, ids []string) ([]domain.Delivery, error) {
	if g.blind.Load() {
		return nil, errBroken
	}
	return g.Store.LoadOpen(ctx, ids)
}

func (g *gate) Claim(ctx context.Context, c []domain.Claim) ([]bool, error) {
	if err := g.pass(); err != nil {
		return nil, err
	}
	if g.refused.Add(-1) >= 0 {
		return nil, errBroken
	}
	ok, err := g.Store.Claim(ctx, c)
	if g.doubtful.Add(-1) >= 0 {
		return nil, errDoubt
	}
	return ok, err
}

func (g *gate) Accept(ctx context.Context, s domain.Submission) (domain.AcceptResult, error) {
	if err := g.pass(); err != nil {
		return domain.AcceptResult{}, err
	}
	if g.refused.Add(-1) >= 0 {
		return domain.AcceptResult{}, errBroken
	}
	res, err := g.Store.Accept(ctx, s)
	if g.doubtful.Add(-1) >= 0 {
		return domain.AcceptResult{}, errDoubt
	}
	return res, err
}

func (g *gate) Finish(ctx context.Context, r []domain.Result) ([]bool, error) {
	if err := g.pass(); err != nil {
		return nil, err
	}
	return g.Store.Finish(ctx, r)
}

func (g *gate) Defer(ctx context.Context, d []domain.Deferral) error {
	if g.broken.Add(-1) >= 0 {
		return errBroken
	}
	return errors.Join(g.pass(), g.unlessDead(func() error { return g.Store.Defer(ctx, d) }))
}

func (g *gate) Settle(ctx context.Context, s []domain.Settlement) ([]bool, error) {
	if err := g.pass(); err != nil {
		return nil, err
	}
	if g.broken.Add(-1) >= 0 {
		return nil, errBroken
	}
	return g.Store.Settle(ctx, s)
}

func (g *gate) Split(ctx context.Context, x domain.Split) error {
	if g.broken.Add(-1) >= 0 {
		return errBroken
	}
	return errors.Join(g.pass(), g.unlessDead(func() error { return g.Store.Split(ctx, x) }))
}

func (g *gate) Merge(ctx context.Context, x domain.Merge) error {
	return errors.Join(g.pass(), g.unlessDead(func() error { return g.Store.Merge(ctx, x) }))
}

func (g *gate) AcquireLane(ctx context.Context, key, node string, lease time.Duration) (domain.LaneLease, bool, error) {
	if err := g.pass(); err != nil {
		return domain.LaneLease{}, false, err
	}
	return g.Store.AcquireLane(ctx, key, node, lease)
}

func (g *gate) RenewLanes(ctx context.Context, node string, lease time.Duration) ([]domain.HeldLane, error) {
	if err := g.pass(); err != nil {
		return nil, err
	}
	return g.Store.RenewLanes(ctx, node, lease)
}

func (g *gate) HandOver(ctx context.Context, key, node string, fence int64, to string, lease time.Duration) (bool, error) {
	if h := g.hooked(); h.giving != nil {
		h.giving(to)
	}
	if err := g.pass(); err != nil {
		return false, err
	}
	return g.Store.HandOver(ctx, key, node, fence, to, lease)
}

func (g *gate) SetLaneStatus(ctx context.Context, node string, status map[string]string) error {
	if err := g.pass(); err != nil {
		return err
	}
	g.reports.Add(int64(len(status)))
	return g.Store.SetLaneStatus(ctx, node, status)
}

func (g *gate) Leaving(ctx context.Context, node string) error {
	return errors.Join(g.pass(), g.unlessDead(func() error { return g.Store.Leaving(ctx, node) }))
}

func (g *gate) Leave(ctx context.Context, node string) error {
	return errors.Join(g.pass(), g.unlessDead(func() error { return g.Store.Leave(ctx, node) }))
}

func (g *gate) Notify(_ context.Context, n domain.Notice) error {
	if g.pass() == nil {
		g.hooked().others(n)
	}
	return nil
}

func (g *gate) unlessDead(f func() error) error {
	if g.dead.Load() || g.away.Load() {
		return nil
	}
	return f()
}

// wire is the network to WeCom: it takes time and can fail. What happens to a
// call follows from its bytes and how often they came, not from the order in
// which goroutines run.
type wire struct {
	to   http.Handler
	mu   sync.Mutex
	seen map[uint64]uint64
	now  int                                              // sends going on
	most int                                              // of them at once
	roll func(dice *rand.Rand) (wireFault, time.Duration) // nil: 20 ms and no fault
	spot func(body []byte) wireFault                      // what goes wrong with certain calls; may be nil
}

// wireFault is what happens to one call.
type wireFault int

const (
	wireOK     wireFault = iota
	wireRefuse           // nothing reaches WeCom
	wireLose             // WeCom takes it, the answer is lost
	wireDrop             // written, and never seen by WeCom
)

func (w *wire) set(roll func(dice *rand.Rand) (wireFault, time.Duration)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll = roll
}

// spoil makes something go wrong with every call whose body contains a text.
func (w *wire) spoil(text string, fault wireFault) {
	w.watch(func(body []byte) wireFault {
		if text != "" && bytes.Contains(body, []byte(text)) {
			return fault
		}
		return wireOK
	})
}

func (w *wire) watch(spot func(body []byte) wireFault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spot = spot
}

func (w *wire) fate(url string, body []byte) (wireFault, time.Duration) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(url))
	_, _ = h.Write(body)
	key := h.Sum64()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[key]++
	if w.spot != nil {
		if fault := w.spot(body); fault != wireOK {
			return fault, 20 * time.Millisecond
		}
	}
	if w.roll == nil {
		return wireOK, 20 * time.Millisecond
	}
	return w.roll(rand.New(rand.NewPCG(key, w.seen[key])))
}

func (w *wire) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += n
	w.most = max(w.most, w.now)
}

// RoundTrip is part of http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(req.Context())
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	fault, d := w.fate(req.URL.Path, body)
	if strings.HasSuffix(req.URL.Path, "/message/send") {
		w.count(1)
		defer w.count(-1)
	}
	if fault == wireRefuse {
		return nil, errors.New("connection refused")
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	time.Sleep(d / 2)
	if fault == wireDrop {
		return nil, errors.New("connection reset")
	}
	in := httptest.NewRequest(req.Method, req.URL.String(), bytes.NewReader(body))
	in.Header, in.RemoteAddr = req.Header.Clone(), "127.0.0.1:1"
	rec := httptest.NewRecorder()
	w.to.ServeHTTP(rec, in)
	time.Sleep(d - d/2)
	if fault == wireLose {
		return nil, errors.New("connection reset")
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// outcome gathers what members saw.
type outcome struct {
	seen    map[string]int         // by text
	at      map[string][]time.Time // by member
	dropped int64
}

func (b *bubble) outcome() outcome {
	o := outcome{seen: map[string]int{}, at: map[string][]time.Time{}, dropped: b.wecom.Counts().Dropped}
	for _, e := range b.wecom.Ledger() {
		if e.Duplicate {
			continue
		}
		var c struct{ Content string }
		_ = json.Unmarshal(e.Content, &c)
		for _, u := range e.Users {
			o.seen[fmt.Sprintf("%s→%s", c.Content, u)]++
			o.at[u] = append(o.at[u], e.At)
		}
	}
	return o
}

func jsonInto(raw []byte, v any) error { return json.Unmarshal(raw, v) }
