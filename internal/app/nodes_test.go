//go:build unix

package app_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"hongyan/internal/app"
	"hongyan/internal/config"
	"hongyan/sandbox"
)

// nodes are two gateways, processes of their own, beside one PostgreSQL; their
// WeCom is in this process. The first one, a, is started.
type nodes struct {
	t     *testing.T
	wecom *sandbox.Server
	base  string
	url   string    // of the database
	db    *pgx.Conn // looks behind their backs
	a, b  *gateway
}

// gateway is one of them, and a caller that talks to it.
type gateway struct {
	*world
	p    *process
	name string
}

// nodeApps are the apps that sandbox and gateways have.
func nodeApps(n int) []sandbox.App {
	apps := make([]sandbox.App, n)
	for i := range apps {
		apps[i] = sandbox.App{AgentID: int64(2000001 + i), Name: appKey(i), Secret: fmt.Sprintf("sandbox-secret-number-%02d-not-a-secret", i)}
	}
	return apps
}

func appKey(i int) string { return fmt.Sprintf("app-%02d", i) }

func newNodes(t *testing.T, apps int, opt sandbox.Options) *nodes {
	t.Helper()
	return newNodesOn(t, postgres(t), apps, opt)
}

func newNodesOn(t *testing.T, db string, apps int, opt sandbox.Options) *nodes {
	t.Helper()
	opt.Apps, opt.MembersPattern = nodeApps(apps), regexp.MustCompile(`(load|hot)-\d+`)
	ns := &nodes{t: t, url: db}
	ns.wecom, ns.base = newWeCom(t, opt)
	ctx := context.Background()
	var err error
	ns.db, err = pgx.Connect(ctx, db)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ns.db.Close(ctx) })
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	make := func(name string) *gateway {
		p := newProcess(t, db)
		p.env = append(p.env, "HONGYAN_NODE="+name, "HONGYAN_MASTER_KEY="+base64.StdEncoding.EncodeToString(key))
		return &gateway{&world{t: t, wecom: ns.wecom, base: ns.base, url: "http://" + p.addr, key: testKey}, p, name}
	}
	ns.a, ns.b = make("a"), make("b")
	onFailure(t, db, ns.a.p, ns.b.p)
	ns.a.p.start()
	for i := range apps {
		ns.app(i, nil)
	}
	ns.watchOwners()
	return ns
}

// app saves the i-th app, with more settings than it needs.
func (ns *nodes) app(i int, more obj) {
	ns.t.Helper()
	app := nodeApps(i + 1)[i]
	spec := obj{"name": app.Name, "corp_id": sandbox.DevCorpID, "agent_id": app.AgentID, "secret": app.Secret, "base_url": ns.base}
	maps.Copy(spec, more)
	ns.a.must("PUT", "/v1/apps/"+appKey(i), spec)
}

// both starts the second node.
func (ns *nodes) both() {
	ns.t.Helper()
	ns.b.p.start()
}

// watchOwners makes the database write down every change of a lane's owner,
// with its own clock.
func (ns *nodes) watchOwners() {
	ns.t.Helper()
	_, err := ns.db.Exec(context.Background(), `
		CREATE TABLE owner_log (seq BIGSERIAL, key TEXT, was TEXT, owner TEXT, fence BIGINT, lease_until BIGINT, at BIGINT);
		CREATE FUNCTION log_owner() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO owner_log (key, was, owner, fence, lease_until, at) VALUES
				(OLD.key, OLD.owner, NEW.owner, NEW.fence, OLD.lease_until, extract(epoch FROM clock_timestamp()) * 1000000);
			RETURN NULL;
		END $$;
		CREATE TRIGGER log_owner AFTER UPDATE ON lanes FOR EACH ROW
			WHEN (OLD.owner <> NEW.owner OR OLD.fence <> NEW.fence) EXECUTE FUNCTION log_owner()`)
	require.NoError(ns.t, err)
}

// move is a change of a lane's owner. left is how much of the lease before was
// left at that moment.
type move struct {
	Key, Was, Owner string
	Fence           int64
	Left            time.Duration
}

// moves are the changes after the seq-th.
func (ns *nodes) moves(seq int64) []move {
	ns.t.Helper()
	rows, err := ns.db.Query(context.Background(), `SELECT key, was, owner, fence, (lease_until - at) * 1000 FROM owner_log WHERE seq > $1 ORDER BY seq`, seq)
	require.NoError(ns.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[move])
	require.NoError(ns.t, err)
	return list
}

// one runs a query that gives one value.
func one[T any](ns *nodes, sql string, args ...any) (v T) {
	ns.t.Helper()
	require.NoError(ns.t, ns.db.QueryRow(context.Background(), sql, args...).Scan(&v), sql)
	return v
}

func (ns *nodes) owned(name string) int {
	ns.t.Helper()
	return one[int](ns, `SELECT count(*) FROM lanes WHERE owner = $1`, name)
}

// freeze stops a process where it stands; thaw lets it go on.
func (n *gateway) freeze() { require.NoError(n.t, n.p.cmd.Process.Signal(syscall.SIGSTOP)) }
func (n *gateway) thaw()   { require.NoError(n.t, n.p.cmd.Process.Signal(syscall.SIGCONT)) }

// numbered is the number-th message of an app.
func numbered(app, number int, users ...string) obj {
	return obj{
		"app": appKey(app), "type": "text", "content": obj{"content": fmt.Sprintf("fault number %d.", number)}, "to": obj{"users": users},
	}
}

// soon waits for a condition well below the half minute after which a lane
// looks at its table without being told.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	until(t, 20*time.Second, what, ok)
}

// until waits for a condition.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			require.Fail(t, "it did not happen in time: "+what)
		case <-tick.C:
		}
	}
}

// sends posts a message and waits until WeCom has it.
func (ns *nodes) sends(n *gateway, app, number int, user string) {
	ns.t.Helper()
	had := ns.wecom.Counts().Taken
	n.must("POST", "/v1/messages", numbered(app, number, user))
	soon(ns.t, fmt.Sprintf("message %d goes out", number), func() bool { return ns.wecom.Counts().Taken > had })
}

// TestNodes_Notify: a node that does not own a lane accepts for it, and its
// owner sends at once because it is told.
func TestNodes_Notify(t *testing.T) {
	t.Parallel()
	ns := newNodes(t, 1, sandbox.Options{})
	ns.sends(ns.a, 0, 0, "load-0")
	ns.both()
	for i := range 20 {
		ns.sends(ns.b, 0, 1+i, fmt.Sprintf("load-%d", 1+i))
	}
	soon(t, "every result is kept", func() bool { return ns.open() == 0 })
	require.Equal(t, "a", one[string](ns, `SELECT owner FROM lanes WHERE key = 'app:app-00'`))
	require.Equal(t, 21, one[int](ns, `SELECT count(*) FROM attempts WHERE node = 'a'`), "all by the owner")
	a := ns.b.must("GET", "/v1/lanes", nil)
	lane := a.body["items"].([]any)[0].(obj)
	require.Equal(t, "a", lane["owner"], "%s", a.raw)
}

// TestNodes_Balance: lanes move to a node that joins until both have half.
func TestNodes_Balance(t *testing.T) {
	t.Parallel()
	const apps = 10
	ns := newNodes(t, apps, sandbox.Options{})
	for i := range apps {
		ns.sends(ns.a, i, i, "load-0")
	}
	require.Equal(t, apps, ns.owned("a"))
	ns.both()
	eventually(t, "each has half of the lanes", func() bool { return ns.owned("a") == apps/2 && ns.owned("b") == apps/2 })
	for _, m := range ns.moves(0) {
		require.NotEmpty(t, m.Owner, "a lane has an owner all the time: %+v", m)
	}
	for i := range apps { // and all of them work, whoever accepts
		ns.sends(ns.a, i, 100+i, "load-1")
		ns.sends(ns.b, i, 200+i, "load-2")
	}
	soon(t, "every result is kept", func() bool { return ns.open() == 0 })
	require.Zero(t, ns.wecom.Counts().Duplicates)
	require.Zero(t, one[int](ns, `SELECT count(*) FROM attempts WHERE class <> 'ok'`))
}

// TestNodes_OneName: a process that takes another one's name ends it, as when
// a machine was copied with its data directory.
func TestNodes_OneName(t *testing.T) {
	t.Parallel()
	ns := newNodes(t, 1, sandbox.Options{})
	ns.sends(ns.a, 0, 0, "load-0")
	ns.b.p.env = append(ns.b.p.env, "HONGYAN_NODE=a")
	ns.both()
	require.Error(t, ns.a.p.cmd.Wait(), "it ends by itself, and not with 0")
	ns.a.p.cmd = nil
	out, err := os.ReadFile(ns.a.p.log)
	require.NoError(t, err)
	require.Contains(t, string(out), "another process has taken the node name")
	ns.sends(ns.b, 0, 1, "load-1")
}

// TestNodes_SeenEverywhere: what is said to one node holds on the other.
func TestNodes_SeenEverywhere(t *testing.T) {
	t.Parallel()
	ns := newNodes(t, 1, sandbox.Options{})
	ns.sends(ns.a, 0, 0, "load-0")
	ns.both()

	// A pause that the owner does not hear by itself.
	health := func(n *gateway) string {
		return n.must("GET", "/v1/apps/app-00", nil).body["health"].(obj)["state"].(string)
	}
	ns.b.must("POST", "/v1/apps/app-00/pause", nil)
	for _, n := range []*gateway{ns.a, ns.b} {
		soon(t, n.name+" knows of the pause", func() bool { return health(n) == "paused" })
	}
	had := ns.wecom.Counts().Send
	var ids []string
	for i, n := range []*gateway{ns.a, ns.b} {
		ids = append(ids, n.must("POST", "/v1/messages", numbered(0, 1+i, "load-1")).str("id"))
	}
	for _, id := range ids {
		for _, n := range []*gateway{ns.a, ns.b} {
			require.Equal(t, "app_paused", n.message(id).str("wait_reason"), "%s says at once why it waits", n.name)
		}
	}
	require.Equal(t, had, ns.wecom.Counts().Send)
	ns.b.must("POST", "/v1/apps/app-00/resume", nil)
	for _, n := range []*gateway{ns.a, ns.b} {
		soon(t, n.name+" knows of the end", func() bool { return health(n) == "ok" })
		for _, id := range ids {
			require.NotEqual(t, "app_paused", n.message(id).str("wait_reason"), n.name)
		}
	}
	soon(t, "both go out", func() bool { return ns.wecom.Counts().Send == had+2 })

	// A scene that is made and edited elsewhere.
	scene := func(title string) {
		ns.a.must("PUT", "/v1/scenes/note", obj{
			"title": title, "app": "app-00", "to": obj{"users": []string{"load-9"}}, "content": obj{"type": "text", "text": obj{"content": title + " {{ .data.n }}"}},
		})
	}
	rendered := func(title string) func() bool {
		return func() bool {
			a := ns.b.try("POST", "/v1/messages", obj{"scene": "note", "data": obj{"n": 1}, "dry_run": true})
			return a.status == 200 && strings.Contains(string(a.raw), title+" 1")
		}
	}
	scene("first")
	soon(t, "the other node knows the scene", rendered("first"))
	scene("second")
	soon(t, "the other node renders the new version", rendered("second"))

	// A key that is made on one node and revoked there.
	made := ns.a.must("POST", "/v1/keys", obj{"name": "erp", "scopes": []string{"read"}})
	caller := *ns.b.world
	caller.key = made.str("key")
	status := func() int { return caller.try("GET", "/v1/messages", nil).status }
	soon(t, "the other node knows the key", func() bool { return status() == 200 })
	ns.a.must("DELETE", "/v1/keys/"+made.str("id"), nil)
	soon(t, "it is dead there too", func() bool { return status() == 401 })

	// One access token for both.
	require.NoError(t, ns.a.p.stop())
	ns.sends(ns.b, 0, 10, "load-3")
	require.EqualValues(t, 1, ns.wecom.Counts().GetToken, "the token is shared")
}

// TestNodes_Doctor: doctor tells who is there.
func TestNodes_Doctor(t *testing.T) {
	t.Parallel()
	ns := newNodes(t, 1, sandbox.Options{})
	ns.sends(ns.a, 0, 0, "load-0")
	ns.both()
	found := map[string]app.Check{}
	for _, c := range app.Doctor(t.Context(), config.Config{DataDir: t.TempDir(), DatabaseURL: config.Secret(ns.url), Listen: "127.0.0.1:0"}) {
		found[c.Name] = c
	}
	require.Equal(t, "ok", found["database"].Status, "%+v", found["database"])
	require.Regexp(t, `^a \(lanes: 1, heard of \d+ s ago\), b \(lanes: 0, heard of \d+ s ago\)$`, found["gateways"].What)
}
