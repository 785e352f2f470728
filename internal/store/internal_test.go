package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
	"hongyan/internal/seal"
)

func testRing(t testing.TB) *seal.Ring {
	t.Helper()
	r, _, err := seal.Generate()
	require.NoError(t, err)
	return r
}

func openTest(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Seal == nil {
		cfg.Seal = testRing(t)
	}
	s, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func simple() domain.Submission {
	var ids domain.IDs
	m := domain.Message{ID: ids.New(domain.PrefixMessage), CreatedAt: time.Now(), State: domain.StateQueued}
	return domain.Submission{Messages: []domain.Message{m}}
}

// slowEngine lets a test look at what happens between the last write and the
// commit.
type slowEngine struct {
	engine
	before func(ops []*op)
	fail   error
}

func (e *slowEngine) apply(ctx context.Context, writer int, ops []*op) (ends, error) {
	e.before(ops)
	if e.fail != nil {
		return nil, e.fail
	}
	return e.engine.apply(ctx, writer, ops)
}

func TestR01_AckAfterCommit(t *testing.T) {
	var commits int
	var mu sync.Mutex
	s := openTest(t, Config{DataDir: t.TempDir(), OnCommit: func(_ time.Duration, ops int) {
		mu.Lock()
		defer mu.Unlock()
		commits += ops
	}})
	mu.Lock()
	commits = 0
	mu.Unlock()
	// 10,000 answers: at each, at least as many writes are committed as were
	// answered before.
	var answered int
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 200 {
				if _, err := s.Accept(t.Context(), simple()); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				answered++
				if answered > commits {
					t.Errorf("%d answers after %d commits", answered, commits)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 10_000, answered)
}

func TestR01_NoAckWithoutCommit(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	release := make(chan struct{})
	reached := make(chan struct{})
	slow := &slowEngine{engine: s.engine, fail: domain.Errorf(domain.CodeDiskFull, "full"), before: func([]*op) {
		close(reached)
		<-release
	}}
	s.engine = slow
	sub := simple()
	answer := make(chan error, 1)
	go func() {
		_, err := s.Accept(context.WithoutCancel(t.Context()), sub)
		answer <- err
	}()
	<-reached
	select {
	case err := <-answer:
		t.Fatalf("answered before the commit: %v", err)
	default:
	}
	close(release)
	require.Equal(t, domain.CodeDiskFull, domain.CodeOf(<-answer))
	s.engine = slow.engine
	_, err := s.FindMessage(t.Context(), sub.Messages[0].ID)
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
}

func TestR04_SQLiteFloor(t *testing.T) {
	for v, ok := range map[string]bool{
		"3.51.3": true, "3.51.2": false, "3.52.0": true, "3.50.7": true, "3.50.6": false, "3.44.6": true, "3.44.5": false,
		"3.45.0": false, "3.49.9": false, "4.0.0": true, "2.8.0": false, "x": false,
	} {
		require.Equal(t, ok, versionOK(v), v)
	}
	require.NoError(t, checkSQLite("3.51.3", "wal", 2, 5000))
	require.Error(t, checkSQLite("3.51.3", "delete", 2, 5000))
	require.Error(t, checkSQLite("3.51.3", "wal", 1, 5000))
	require.Error(t, checkSQLite("3.51.3", "wal", 2, 4999))
	dir := t.TempDir()
	openTest(t, Config{DataDir: dir})
	for _, name := range []string{"hongyan.db", lockName} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}

func TestR04_SecondProcess(t *testing.T) {
	if dir := os.Getenv("STORE_SECOND_PROCESS"); dir != "" {
		_, err := Open(t.Context(), Config{DataDir: dir, Seal: testRing(t)})
		fmt.Println("second process:", err)
		return
	}
	dir := t.TempDir()
	openTest(t, Config{DataDir: dir})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestR04_SecondProcess$") //nolint:gosec // this very test
	cmd.Env = append(os.Environ(), "STORE_SECOND_PROCESS="+dir)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Less(t, time.Since(began), 5*time.Second)
	require.Contains(t, string(out), fmt.Sprintf("in use by process %d", os.Getpid()))
}

func TestR48_SecretsAtRest(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, Config{DataDir: dir})
	ctx := t.Context()
	var canaries []string
	canary := func(what string) string {
		c := fmt.Sprintf("CANARY-%s-%02d", what, len(canaries))
		canaries = append(canaries, c)
		return c
	}
	for i := range 16 {
		_, _, err := s.PutResource(ctx, domain.Resource{
			Kind: domain.ResourceApp, Key: fmt.Sprint("app", i), Spec: []byte(`{"visible":"PLAIN-MARK"}`),
			Secrets: map[string]string{"secret": canary("secret")},
		}, -1)
		require.NoError(t, err)
	}
	for i := range 3 {
		_, _, err := s.SwapToken(ctx, 0, domain.AccessToken{Key: fmt.Sprint("corp", i), Value: canary("token"), FetchedAt: time.Now()})
		require.NoError(t, err)
	}
	_, err := s.Finish(ctx, []domain.Result{{
		MessageID: "msg_x", Next: domain.StateSent, At: time.Now(),
		Attempt: domain.Attempt{DeliveryID: "dlv_x", N: 1, Class: "ok", ResponseCode: canary("code")},
	}})
	require.NoError(t, err)
	attempts, err := s.FindAttempts(ctx, "dlv_x")
	require.NoError(t, err)
	require.Equal(t, canaries[19], attempts[0].ResponseCode)
	require.Len(t, canaries, 20)

	grep := func() {
		files, err := filepath.Glob(filepath.Join(dir, "hongyan.db*"))
		require.NoError(t, err)
		seen := false
		for _, name := range files {
			data, err := os.ReadFile(name) //nolint:gosec // in the test's folder
			require.NoError(t, err)
			seen = seen || bytes.Contains(data, []byte("PLAIN-MARK"))
			for _, c := range canaries {
				require.False(t, bytes.Contains(data, []byte(c)), "%s holds %s", name, c)
			}
		}
		require.True(t, seen, "the grep finds what is not sealed")
	}
	grep()
	require.NoError(t, s.Close())
	grep()
}

func TestMasterKeyMustFit(t *testing.T) {
	dir := t.TempDir()
	ring := testRing(t)
	s := openTest(t, Config{DataDir: dir, Seal: ring})
	require.NoError(t, s.Close())
	_, err := Open(t.Context(), Config{DataDir: dir, Seal: testRing(t)})
	require.ErrorContains(t, err, "master key does not fit")
	openTest(t, Config{DataDir: dir, Seal: ring})
}

func TestClosedStore(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	require.NoError(t, s.Close())
	_, err := s.Accept(t.Context(), simple())
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
}

func TestFatalErrorStopsAcks(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	lost := fmt.Errorf("fsync: input/output error")
	s.engine = &fatalEngine{engine: s.engine, err: lost}
	_, err := s.Accept(t.Context(), simple())
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	require.ErrorIs(t, <-s.Fatal(), lost)
	s.engine = s.engine.(*fatalEngine).engine
	_, err = s.Accept(t.Context(), simple())
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "nothing is acknowledged afterwards")
	require.Error(t, s.Ping(t.Context()))
}

type fatalEngine struct {
	engine
	err error
}

func (e *fatalEngine) apply(context.Context, int, []*op) (ends, error) { return nil, e.err }

func (e *fatalEngine) problem(err error) (*domain.Error, bool) {
	return &domain.Error{Code: domain.CodeInternal, Err: err}, true
}

func TestMigrationsMayNotChange(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, Config{DataDir: dir})
	require.NoError(t, s.Close())
	change := func(query string) error {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "hongyan.db"))
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), query)
		require.NoError(t, err)
		require.NoError(t, db.Close())
		_, err = Open(t.Context(), Config{DataDir: dir, Seal: testRing(t)})
		return err
	}
	require.ErrorContains(t, change(`UPDATE schema_migrations SET checksum = 'x' WHERE version = 1`), "differs")
	require.ErrorContains(t, change(`INSERT INTO schema_migrations VALUES (99, 'later', 'x', 0)`), "newer version")
}

// The states are written down in domain and in both schemas.
func TestStatesInSQL(t *testing.T) {
	var open, final []string
	for _, st := range domain.States() {
		is := "state = '" + string(st) + "'"
		if st.Final() {
			final = append(final, is)
		} else {
			open = append(open, is)
		}
		require.Equal(t, st.Final(), len(domain.Transitions()[st]) == 0, st)
	}
	want := "CHECK (finished_at IS NULL AND (" + strings.Join(open, " OR ") + ") OR finished_at IS NOT NULL AND (" + strings.Join(final, " OR ") + "))"
	for _, dialect := range []string{"sqlite", "postgres"} {
		ms, err := migrations(dialect)
		require.NoError(t, err)
		text := strings.Join(strings.Fields(ms[0].sql), " ")
		require.Equal(t, 2, strings.Count(text, want), dialect)
	}
}

// Every transition that domain allows goes through, every other is refused.
func TestTransitions(t *testing.T) {
	s := openTest(t, Config{DataDir: t.TempDir()})
	ctx := t.Context()
	var ids domain.IDs
	l, _, err := s.AcquireLane(ctx, "app:a", "n1", time.Minute)
	require.NoError(t, err)
	for _, from := range domain.States() {
		for _, to := range domain.States() {
			sub := simple()
			d := domain.Delivery{
				ID: ids.New(domain.PrefixDelivery), MessageID: sub.Messages[0].ID, Lane: "app:a", State: from, Tries: 1, Fence: l.Fence,
			}
			sub.Deliveries = []domain.Delivery{d}
			_, err := s.Accept(ctx, sub)
			require.NoError(t, err)
			now := time.Now()
			var done []bool
			if to == domain.StateSending {
				done, err = s.Claim(ctx, []domain.Claim{{DeliveryID: d.ID, Lane: d.Lane, Fence: l.Fence, Try: 2, StartedAt: now}})
				require.NoError(t, err)
			}
			if !slices.Contains(done, true) {
				done, _ = s.Finish(ctx, []domain.Result{{
					MessageID: d.MessageID, Next: to, At: now, Attempt: domain.Attempt{DeliveryID: d.ID, N: 1, Lane: d.Lane, Fence: l.Fence},
				}})
			}
			if !slices.Contains(done, true) {
				done, _ = s.Settle(ctx, []domain.Settlement{{DeliveryID: d.ID, Next: to, At: now}})
			}
			if slices.Contains(done, true) {
				require.True(t, from.CanBecome(to), "%s became %s", from, to)
			} else if to.Final() {
				require.False(t, from.CanBecome(to), "%s did not become %s", from, to)
			}
		}
	}
}

// Whatever PostgreSQL says to somebody who wants a connection is an outage:
// callers come back. A statement that it cannot take is a fault of ours.
func TestPostgresRefusals(t *testing.T) {
	e := &pgEngine{}
	for code, want := range map[string]string{
		"28P01": domain.CodeUnavailable, "3D000": domain.CodeUnavailable, "55000": domain.CodeUnavailable, "57P01": domain.CodeUnavailable,
		"40001": domain.CodeUnavailable, "42501": domain.CodeUnavailable, "25006": domain.CodeUnavailable,
		"53100": domain.CodeDiskFull, "42P01": domain.CodeInternal, "23505": domain.CodeInternal, "": domain.CodeInternal,
	} {
		out, fatal := e.problem(fmt.Errorf("a query: %w", &pgconn.PgError{Code: code}))
		require.Equal(t, want, out.Code, code)
		require.False(t, fatal)
	}

	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		t.Skip("TEST_DATABASE_URL is not set: PostgreSQL is not tested")
	}
	for _, change := range []func(*pgx.ConnConfig){
		func(c *pgx.ConnConfig) { c.Database = "template0" }, // takes no connections
		func(c *pgx.ConnConfig) { c.Database = "no-such-database" },
		func(c *pgx.ConnConfig) { c.User = "no-such-role" },
		func(c *pgx.ConnConfig) { c.RuntimeParams["no_such_parameter"] = "1" },
	} {
		cfg, err := pgx.ParseConfig(base)
		require.NoError(t, err)
		change(cfg)
		_, err = pgx.ConnectConfig(t.Context(), cfg)
		require.Error(t, err)
		out, _ := e.problem(fmt.Errorf("connect to PostgreSQL: %w", err))
		require.Equal(t, domain.CodeUnavailable, out.Code, err)
	}
}
