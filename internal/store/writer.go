package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"hongyan/internal/domain"
)

const (
	queueBound = 4096 // writes that may wait, for accepts and for all others
	batchOps   = 512  // writes in one transaction
	batchRows  = 4096 // rows in one transaction; one write may exceed it alone
	// writeTimeout bounds one transaction. On SQLite nothing interrupts a
	// commit; on PostgreSQL the connection is given up.
	writeTimeout = 20 * time.Second
)

// op is one write on its way through the writer. Exactly one of submission,
// claims, results, deferrals, settlements and do is set.
type op struct {
	submission  *domain.Submission
	claims      []domain.Claim
	results     []domain.Result
	deferrals   []domain.Deferral
	settlements []domain.Settlement
	do          func(ctx context.Context, q querier) error

	rows    int
	status  atomic.Int32 // waiting, taken, abandoned
	done    chan struct{}
	err     error
	applied []bool
	replay  *domain.IdemKey
}

const (
	opWaiting int32 = iota
	opTaken
	opAbandoned
)

// submit hands an op to the writer and waits for its commit. When ctx ends
// before the writer took it, nothing is written; after that the outcome is
// waited for, so that the caller never has to guess.
func (s *Store) submit(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for the database: %w", err)
	}
	o.done = make(chan struct{})
	queue := s.others
	if o.submission != nil {
		queue = s.accepts
	}
	if err := s.enqueue(queue, o); err != nil {
		return err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.status.CompareAndSwap(opWaiting, opAbandoned) {
			return fmt.Errorf("wait for the database: %w", ctx.Err())
		}
		<-o.done
	}
	return o.err
}

func (s *Store) enqueue(queue chan<- *op, o *op) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return domain.Errorf(domain.CodeUnavailable, "the database is closed")
	}
	select {
	case queue <- o:
		s.waiting.Add(1)
		return nil
	default:
		return domain.Errorf(domain.CodeUnavailable, "too many writes are waiting for the database")
	}
}

// do runs fn inside the writer's next transaction. fn may run more than once
// and must set what it captured anew each time. A *domain.Error refuses the
// write: fn must not have written anything before it returns one.
func (s *Store) do(ctx context.Context, fn func(ctx context.Context, q querier) error) error {
	return s.submit(ctx, &op{do: fn, rows: 1})
}

// write is the goroutine of a writer. Nobody else changes the database.
func (s *Store) write(writer int) {
	others := s.others
	if writer > 0 {
		others = nil
	}
	ops := make([]*op, 0, batchOps)
	for {
		var first *op
		select {
		case first = <-others:
		case first = <-s.accepts:
		case <-s.stop:
			// Nobody can enqueue any more: what is there is the rest.
			for ops = s.gather(ops[:0], others, nil); len(ops) > 0; ops = s.gather(ops[:0], others, nil) {
				s.commit(writer, ops)
			}
			return
		}
		// Those who were just answered are about to come back: let them run
		// before looking. This waits for nobody.
		runtime.Gosched()
		ops = s.gather(ops[:0], others, first)
		if len(ops) > 0 {
			s.commit(writer, ops)
		}
		clear(ops)
	}
}

// gather takes what is waiting, results before new work.
func (s *Store) gather(ops []*op, others <-chan *op, first *op) []*op {
	rows := 0
	take := func(o *op) {
		if !o.status.CompareAndSwap(opWaiting, opTaken) {
			s.waiting.Add(-1)
			return
		}
		ops = append(ops, o)
		rows += o.rows
	}
	if first != nil {
		take(first)
	}
	for _, queue := range []<-chan *op{others, s.accepts} {
	drain:
		for len(ops) < batchOps && rows < batchRows {
			select {
			case o := <-queue:
				take(o)
			default:
				break drain
			}
		}
	}
	return ops
}

// commit applies ops together and, when that fails, one by one, so that a bad
// one fails alone.
func (s *Store) commit(writer int, ops []*op) {
	err := s.try(writer, ops)
	if err != nil && len(ops) > 1 && !errors.Is(err, domain.ErrInDoubt) && s.broken.Load() == nil {
		if _, lost := s.engine.problem(err); !lost {
			s.log.Warn("batch not committed, trying its writes alone", "writes", len(ops), "error", err)
			for _, o := range ops {
				o.err, o.replay = nil, nil
				s.finish(o, s.try(writer, []*op{o}))
			}
			return
		}
	}
	for _, o := range ops {
		s.finish(o, err)
	}
}

func (s *Store) try(writer int, ops []*op) error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout) //nolint:forbidigo // a batch belongs to many callers, none may end it
	defer cancel()
	ended, err := s.engine.apply(ctx, writer, ops)
	if err != nil {
		if _, fatal := s.engine.problem(err); fatal {
			err = &domain.Error{Code: domain.CodeUnavailable, Detail: "the database has failed", Err: fmt.Errorf("%w: %w", domain.ErrInDoubt, err)}
			s.broken.Store(&err)
			s.fail(err)
		}
		return err
	}
	s.commits.Add(1)
	s.cfg.OnCommit(time.Since(began), len(ops))
	for state, n := range ended {
		s.cfg.OnEnd(state, n)
	}
	return nil
}

// fail has the process end; the first cause counts.
func (s *Store) fail(err error) {
	select {
	case s.fatal <- err:
	default:
	}
}

func (s *Store) finish(o *op, err error) {
	if err != nil {
		o.err = s.explain(err)
	}
	s.waiting.Add(-1)
	close(o.done)
}

// explain makes the caller's error of a batch's error.
func (s *Store) explain(err error) error {
	if e, ok := errors.AsType[*domain.Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &domain.Error{Code: domain.CodeUnavailable, Detail: "the database took too long", Err: err}
	}
	e, _ := s.engine.problem(err)
	return e
}
