package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/seal"
)

const (
	readTimeout = 5 * time.Second  // of every read
	openTimeout = 60 * time.Second // of opening, with migrations
)

// Config says which database to open.
type Config struct {
	URL     string     // sqlite://path or postgres://…; empty: sqlite in DataDir
	DataDir string     // of the SQLite file when the URL names none, and of relative paths' default
	Node    string     // this process's name among the nodes
	Seal    *seal.Ring // required
	Logger  *slog.Logger
	// OnCommit is told of every commit, from the goroutine of its writer, of
	// which PostgreSQL has two: how long the transaction took and how many writes
	// it held. Called concurrently.
	OnCommit func(d time.Duration, ops int)
	// OnEnd is told, likewise, how many messages a commit made final.
	OnEnd func(state domain.State, n int)
}

// Store is the database. Safe for concurrent use.
type Store struct {
	cfg    Config
	log    *slog.Logger
	ring   *seal.Ring
	engine engine

	accepts chan *op // new work, refused first when there is too much
	others  chan *op // everything else
	waiting atomic.Int64
	commits atomic.Int64

	mu     sync.RWMutex // guards closed against senders on the queues
	closed bool
	stop   chan struct{}
	done   sync.WaitGroup // of the writers

	broken   atomic.Pointer[error]
	fatal    chan error
	instance string   // tells processes apart that go by one node name
	joined   sync.Map // node names that this process has taken
	horizon  horizon
	notices  chan domain.Notice
	deaf     func() // ends the listener and waits for it
	closeErr error
	once     sync.Once
}

// engine is a dialect.
type engine interface {
	dialect() string
	// writers is how many goroutines may apply ops at the same time. The first
	// (0) takes every kind of op, the others only submissions.
	writers() int
	// apply runs all ops in one transaction of that writer and commits; what it
	// counted is good until the writer's next call. An error means that
	// nothing was applied, or for domain.ErrInDoubt that nobody knows. An op that is
	// refused on its own account gets its err set and has written nothing.
	apply(ctx context.Context, writer int, ops []*op) (ends, error)
	reader() querier
	// settled returns the highest event number below which nothing can appear
	// any more, and whether it is known yet.
	settled(ctx context.Context, h *horizon) (int64, bool, error)
	// inList is the SQL after a column that compares it with the elements of a
	// JSON array in a parameter; likeOperator ignores case.
	inList(param string) string
	likeOperator() string
	// problem translates an error of a write: the error for the caller, and
	// whether the process must end.
	problem(err error) (out *domain.Error, fatal bool)
	close() error
}

// Open opens the database, brings its schema up to date, checks the master
// key and starts the writer. It fails when another process has the SQLite file
// open, naming that process.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Seal == nil {
		return nil, errors.New("open database: no master key")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnCommit == nil {
		cfg.OnCommit = func(time.Duration, int) {}
	}
	if cfg.OnEnd == nil {
		cfg.OnEnd = func(domain.State, int) {}
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s := &Store{
		cfg: cfg, log: cfg.Logger, ring: cfg.Seal,
		accepts: make(chan *op, queueBound), others: make(chan *op, queueBound),
		stop: make(chan struct{}), fatal: make(chan error, 1), instance: rand.Text(),
		notices: make(chan domain.Notice, noticeBound), deaf: func() {},
	}
	var err error
	switch scheme, rest, _ := strings.Cut(cfg.URL, "://"); {
	case cfg.URL == "":
		s.engine, err = openSQLite(ctx, filepath.Join(cfg.DataDir, "hongyan.db"), cfg.Logger)
	case scheme == "sqlite":
		s.engine, err = openSQLite(ctx, rest, cfg.Logger)
	case scheme == "postgres" || scheme == "postgresql":
		s.engine, err = openPostgres(ctx, cfg.URL, cfg.Logger)
	default:
		err = errors.New("database URL must start with sqlite:// or postgres://")
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	for w := range s.engine.writers() {
		s.done.Go(func() { s.write(w) })
	}
	if err := s.checkKey(ctx); err != nil {
		if e, ok := errors.AsType[*domain.Error](err); ok && e.Code == domain.CodeConflict {
			err = errors.New(e.Detail) // for a person, who has no use for the code
		}
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.Close())
	}
	if err := s.settle(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.Close())
	}
	return s, nil
}

// settle starts what the dialect needs: on PostgreSQL the ear for other nodes.
// On SQLite nobody else can have the file open, so whoever held a lane is gone.
func (s *Store) settle(ctx context.Context) error {
	e, shared := s.engine.(*pgEngine)
	if !shared {
		return s.do(ctx, func(ctx context.Context, q querier) error {
			if _, err := q.exec(ctx, `DELETE FROM nodes`); err != nil {
				return err
			}
			_, err := q.exec(ctx, `UPDATE lanes SET owner = '', lease_until = 0 WHERE owner <> ''`)
			return err
		})
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); s.listen(ctx, e) }()
	s.deaf = func() { cancel(); <-done }
	return nil
}

// The check value opens only under the master key of this database.
const sealCheckPlace, sealCheckClear = "meta:seal_check", "hongyan"

// checkKey compares the master key with the one that this database was made
// with, and remembers it in a new database.
func (s *Store) checkKey(ctx context.Context) error {
	return s.do(ctx, func(ctx context.Context, q querier) error {
		var stored []byte
		found, err := queryRow(ctx, q, `SELECT value FROM meta WHERE key = 'seal_check'`, nil, &stored)
		if err != nil {
			return err
		}
		if !found {
			return s.sealCheck(ctx, q)
		}
		if got, err := s.ring.Open(stored, sealCheckPlace); err != nil || string(got) != sealCheckClear {
			return domain.Errorf(domain.CodeConflict, "the master key does not fit this database: give the key that it was made with, or a ring that holds it")
		}
		return nil
	})
}

// sealCheck writes the check value under the key that seals now.
func (s *Store) sealCheck(ctx context.Context, q querier) error {
	anew, err := s.ring.Seal([]byte(sealCheckClear), sealCheckPlace)
	if err != nil {
		return err
	}
	_, err = q.exec(ctx, `INSERT INTO meta (key, n, value) VALUES ('seal_check', 0, $1)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, anew)
	return err
}

// Dialect returns "sqlite" or "postgres".
func (s *Store) Dialect() string { return s.engine.dialect() }

// Fatal delivers at most one error after which the process must end: the disk
// did not keep what was written, so nothing may be acknowledged any more, or
// another process goes by this node's name.
func (s *Store) Fatal() <-chan error { return s.fatal }

// Ping checks that the database can be written to.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return s.do(ctx, func(ctx context.Context, q querier) error {
		// A row of its own for each node: they must not wait for each other.
		_, err := q.exec(ctx, `INSERT INTO meta (key, n) VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET n = meta.n + 1`, "ping:"+s.cfg.Node)
		return err
	})
}

// Stats is how busy the writer is.
type Stats struct {
	Waiting int64 // writes that wait for their commit
	Commits int64 // since the start
}

// Stats returns the writer's counters. Cheap.
func (s *Store) Stats() Stats {
	return Stats{Waiting: s.waiting.Load(), Commits: s.commits.Load()}
}

// Close commits what is queued and closes the database. Later calls fail with
// domain.CodeUnavailable. Idempotent.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.deaf()
		close(s.stop)
		s.done.Wait()
		s.closeErr = s.engine.close()
	})
	return s.closeErr
}

// read returns the read pool and a context with the deadline of reads.
func (s *Store) read(ctx context.Context) (context.Context, context.CancelFunc, querier) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	return ctx, cancel, s.engine.reader()
}
