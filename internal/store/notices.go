package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"hongyan/internal/domain"
)

const (
	noticeBound = 1024            // notices that may wait for whoever listens; more are dropped
	relisten    = time.Second     // pause between tries to listen again
	notifyLimit = 3 * time.Second // of sending one notice
)

// Notices tells what other nodes have announced. An empty notice says that
// some may have been missed: look at everything. On SQLite, where there are no
// other nodes, nothing ever comes. There is one channel for all readers.
func (s *Store) Notices() <-chan domain.Notice { return s.notices }

// Notify announces a change to the other nodes, outside of any transaction:
// a NOTIFY holds a lock over the whole database until its commit. A notice may
// be lost; what it says is found by the next look at the database too.
func (s *Store) Notify(ctx context.Context, n domain.Notice) error {
	e, ok := s.engine.(*pgEngine)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, notifyLimit)
	defer cancel()
	payload, err := json.Marshal(pgNotice{s.cfg.Node, n.To, n.Kind, n.Key})
	if err != nil {
		return err
	}
	_, err = e.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, e.channel, string(payload))
	return s.readError("notify the other nodes", err)
}

// pgNotice is the payload of a NOTIFY.
type pgNotice struct {
	Node string `json:"node"` // from
	To   string `json:"to,omitempty"`
	Kind string `json:"kind"`
	Key  string `json:"key,omitempty"`
}

// listen hears the other nodes until ctx ends.
func (s *Store) listen(ctx context.Context, e *pgEngine) {
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			select {
			case <-ctx.Done():
				return
			case <-time.After(relisten):
			}
		}
		if err := s.hear(ctx, e); err != nil && ctx.Err() == nil {
			s.log.Warn("other nodes are not heard", "error", err)
		}
	}
}

func (s *Store) hear(ctx context.Context, e *pgEngine) error {
	cfg := e.cfg.Copy()
	cfg.RuntimeParams["application_name"] = "hongyan-listener"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{e.channel}.Sanitize()); err != nil {
		return err
	}
	s.announce(domain.Notice{}) // what was said before is not heard any more
	for {
		got, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var p pgNotice
		if json.Unmarshal([]byte(got.Payload), &p) != nil || p.Node == s.cfg.Node || (p.To != "" && p.To != s.cfg.Node) {
			continue
		}
		s.announce(domain.Notice{Kind: p.Kind, Key: p.Key, To: p.To})
	}
}

func (s *Store) announce(n domain.Notice) {
	select {
	case s.notices <- n:
	default: // nobody keeps up: the next look at the database finds it
	}
}
