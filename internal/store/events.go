package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"hongyan/internal/domain"
)

// maxEvents bounds one read of events.
const maxEvents = 1000

// horizon remembers up to which number the event stream is settled. Numbers
// are drawn before the commit, so with several nodes a lower one may appear
// after a higher one; nothing above the horizon is shown.
type horizon struct {
	mu      sync.Mutex
	safe    int64
	pending int64 // becomes safe…
	until   int64 // …once no transaction up to this id runs; 0: none pending
}

const selectEvents = `SELECT seq, type, message_id, delivery_id, at, data FROM events `

func scanEvent(r rows) (domain.Event, error) { return scanEventAnd(r) }

func scanStreamed(r rows) (domain.Event, error) {
	var scene, app string
	e, err := scanEventAnd(r, &scene, &app)
	e.Scene, e.App = scene, app
	return e, err
}

func scanEventAnd(r rows, more ...any) (e domain.Event, err error) {
	var at int64
	var data string
	err = r.Scan(append([]any{&e.Seq, &e.Type, &e.MessageID, &e.DeliveryID, &at, &data}, more...)...)
	e.At = moment(at)
	if data != "" {
		e.Data = json.RawMessage(data)
	}
	return e, err
}

// selectStream also gives what decides who may see an event.
const selectStream = `SELECT e.seq, e.type, e.message_id, e.delivery_id, e.at, e.data, coalesce(m.scene, ''), coalesce(m.app, '')
	FROM events e LEFT JOIN messages m ON m.id = e.message_id `

// ListEvents returns the timeline of a message, oldest first, at most 1000
// facts. A message without events, or without existence, has none.
func (s *Store) ListEvents(ctx context.Context, messageID string) ([]domain.Event, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	out, err := collect(ctx, q, selectEvents+`WHERE message_id = $1 AND message_id <> '' ORDER BY seq LIMIT $2`,
		[]any{messageID, maxEvents}, scanEvent)
	return out, s.readError("list events", err)
}

// EventsAfter returns at most limit (1–1000) events with a number above seq,
// in order. An event is withheld while one before it may still appear, so a
// caller that goes on from the last number it got misses nothing. An event of a
// message that is stored has its scene and app.
func (s *Store) EventsAfter(ctx context.Context, seq int64, limit int) ([]domain.Event, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	safe, _, err := s.engine.settled(ctx, &s.horizon)
	if err != nil || safe <= seq {
		return nil, s.readError("find the end of the events", err)
	}
	out, err := collect(ctx, q, selectStream+`WHERE e.seq > $1 AND e.seq <= $2 ORDER BY e.seq LIMIT $3`,
		[]any{seq, safe, min(max(limit, 1), maxEvents)}, scanStreamed)
	return out, s.readError("read events", err)
}

// LastEventSeq returns the number after which EventsAfter gives only what is
// committed from now on.
func (s *Store) LastEventSeq(ctx context.Context) (int64, error) {
	ctx, cancel, _ := s.read(ctx)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		seq, known, err := s.engine.settled(ctx, &s.horizon)
		if err != nil || known {
			return seq, s.readError("find the end of the events", err)
		}
		select {
		case <-ctx.Done():
			return 0, s.readError("find the end of the events", ctx.Err())
		case <-tick.C:
		}
	}
}

// readError gives an error of a read its code, and says what was being done.
func (s *Store) readError(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, s.explain(err))
}

// AddEvent appends a fact that belongs to no message.
func (s *Store) AddEvent(ctx context.Context, e domain.Event) error {
	return s.do(ctx, func(ctx context.Context, q querier) error { return addEvent(ctx, q, e) })
}

const insertEvent = `INSERT INTO events (type, message_id, delivery_id, at, data) VALUES ($1, $2, $3, $4, $5)`

func addEvent(ctx context.Context, q querier, e domain.Event) error {
	_, err := q.exec(ctx, insertEvent, e.Type, e.MessageID, e.DeliveryID, micros(e.At), string(e.Data))
	return err
}
