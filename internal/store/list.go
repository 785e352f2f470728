package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/domain"
)

// filter builds the conditions of a list: the only SQL whose text depends on the
// request. Values only ever travel as parameters.
type filter struct {
	where []string
	args  []any
}

func (f *filter) arg(v any) string {
	f.args = append(f.args, v)
	return "$" + strconv.Itoa(len(f.args))
}

func (f *filter) add(format string, v any) {
	f.where = append(f.where, strings.ReplaceAll(format, "?", f.arg(v)))
}

// found is the SQL that tells whether a correlated query has a row. EXISTS
// would let PostgreSQL read the whole inner table once into a hash, which is
// what it does where many rows wait.
func found(from string) string { return `(SELECT 1 FROM ` + from + ` LIMIT 1) IS NOT NULL` }

// ListMessages returns a page of messages, newest first, without attempts and
// bodies. Filters are answered from their indexes; a search in text, and filters
// that seldom meet, read on from the newest and end with
// domain.CodeUnavailable when they find no full page within five seconds.
func (s *Store) ListMessages(ctx context.Context, mf domain.MessageFilter) (domain.MessagePage, error) {
	limit := min(max(mf.Limit, 1), maxPage)
	mf.Limit = limit + 1 // shows whether there are more
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	now := time.Now()
	messages, err := s.pick(ctx, q, mf, now)
	if err != nil {
		return domain.MessagePage{}, s.readError("list messages", err)
	}
	var page domain.MessagePage
	if len(messages) > limit {
		messages = messages[:limit]
		page.NextCursor = messages[limit-1].ID
	}
	if page.Items, err = s.views(ctx, q, messages, listColumns, now); err != nil {
		return domain.MessagePage{}, s.readError("list deliveries", err)
	}
	return page, nil
}

// pick finds the newest mf.Limit messages. Every filter with an index of its own
// gives a walk through its messages. Nobody knows beforehand which is the
// shortest, so they take turns with ever longer steps, and the first to fill the
// page wins.
func (s *Store) pick(ctx context.Context, q querier, mf domain.MessageFilter, now time.Time) ([]domain.Message, error) {
	const first, longest = 64, 4096
	span, err := spanOf(mf)
	if err != nil {
		return nil, err
	}
	walks := walksOf(mf, span, now)
	if len(walks) == 0 {
		return s.among(ctx, q, mf, now, mf.Limit, `m.id >= ? AND m.id < ?`, span.from, span.to)
	}
	for n := max(first, mf.Limit); ; n = min(4*n, longest) {
		for _, w := range walks {
			ids, err := w.step(ctx, q, n)
			if err != nil {
				return nil, err
			}
			if len(ids) > 0 {
				more, err := s.among(ctx, q, mf, now, mf.Limit-len(w.found), `m.id `+s.engine.inList("?"), listJSON(ids))
				if err != nil {
					return nil, err
				}
				w.found = append(w.found, more...)
			}
			if w.ended || len(w.found) == mf.Limit {
				return w.found, nil
			}
		}
	}
}

// among reads the messages among some that fit a filter, newest first.
func (s *Store) among(ctx context.Context, q querier, mf domain.MessageFilter, now time.Time, limit int, which string, args ...any) ([]domain.Message, error) {
	f := &filter{}
	for _, v := range args {
		which = strings.Replace(which, "?", f.arg(v), 1)
	}
	f.where = append(f.where, which)
	s.conditions(f, mf, now)
	return collect(ctx, q, `SELECT `+messageColumns+` FROM messages m WHERE `+strings.Join(f.where, ` AND `)+
		` ORDER BY m.id DESC LIMIT `+f.arg(limit), f.args, scanMessage)
}

func (s *Store) conditions(f *filter, mf domain.MessageFilter, now time.Time) {
	if !mf.Since.IsZero() {
		f.add(`m.created_at >= ?`, micros(mf.Since))
	}
	if !mf.Until.IsZero() {
		f.add(`m.created_at < ?`, micros(mf.Until))
	}
	for _, c := range []struct{ column, value string }{
		{`m.scene`, mf.Scene}, {`m.app`, mf.App}, {`m.reference`, mf.Reference}, {`m.source`, mf.Source},
	} {
		if c.value != "" {
			f.add(c.column+` = ?`, clean(c.value))
		}
	}
	if len(mf.Scenes) > 0 {
		f.add(`m.scene `+s.engine.inList("?"), listJSON(mf.Scenes))
	}
	if len(mf.Apps) > 0 {
		f.add(`m.app `+s.engine.inList("?"), listJSON(mf.Apps))
	}
	if mf.User != "" {
		f.add(found(`recipients r WHERE r.message_id = m.id AND r.kind = 'user' AND r.rkey = ?`), recipientKey(mf.User))
	}
	if mf.Merged != "" {
		f.add(found(`deliveries d WHERE d.message_id = m.id AND d.merged_into = ? AND d.merged_into <> ''`), clean(mf.Merged))
	}
	if mf.State != "" {
		f.state(mf.State, now)
	}
	if mf.Errcode != nil {
		f.errcode(*mf.Errcode)
	}
	if mf.Query != "" {
		like := ` ` + s.engine.likeOperator() + ` ? ESCAPE '\'`
		f.add(`(m.title`+like+` OR m.text`+like+`)`, `%`+escapeLike(clean(mf.Query))+`%`)
	}
}

// A delivery that is scheduled in the database is shown, and found, as queued
// once its time has come: what it waits for then is no known time any more, but
// nothing is written while its lane stands still. These two and stateParts are
// that rule.
func shown(d *domain.Delivery, now time.Time) domain.State {
	if d.State == domain.StateScheduled && !d.DueAt.After(now) {
		return domain.StateQueued
	}
	return d.State
}

func (f *filter) shown(st domain.State, now time.Time) string {
	has := func(state string) string {
		return found(`deliveries d WHERE d.message_id = m.id AND d.state = ` + state)
	}
	switch st {
	case domain.StateScheduled:
		return has(`'scheduled' AND d.due_at > ` + f.arg(micros(now)))
	case domain.StateQueued:
		return `(` + has(`'queued'`) + ` OR ` + has(`'scheduled' AND d.due_at <= `+f.arg(micros(now))) + `)`
	default:
		return has(`'sending'`)
	}
}

// state filters by the state as domain.Combine derives it. Open states follow
// from the deliveries; the row of an open message is not kept up to date, nor
// that of one with a single delivery.
func (f *filter) state(st domain.State, now time.Time) {
	if st.Final() {
		f.add(`CASE m.deliveries WHEN 1 THEN `+found(`deliveries d WHERE d.message_id = m.id AND d.state = ?`)+` ELSE m.state = ? END`, string(st))
		return
	}
	has := f.shown(st, now)
	for _, before := range []domain.State{domain.StateSending, domain.StateQueued} {
		if st == before {
			break
		}
		has += ` AND NOT ` + f.shown(before, now)
	}
	f.add(`m.finished_at IS NULL AND (`+has+` OR m.deliveries = 0 AND m.state = ?)`, string(st))
}

// errcode finds messages of which WeCom answered a call, or spoke of a
// recipient, with that code.
func (f *filter) errcode(code int) {
	if code == 0 {
		f.where = append(f.where, found(`deliveries d JOIN attempts a ON a.delivery_id = d.id
			WHERE d.message_id = m.id AND a.errcode = 0 AND a.class = 'ok'`))
		return
	}
	f.add(`(`+found(`attempts a WHERE a.errcode = ? AND a.errcode <> 0 AND a.message_id = m.id`)+` OR `+
		found(`recipients r WHERE r.errcode = ? AND r.errcode <> 0 AND r.message_id = m.id`)+`)`, code)
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscaper.Replace(s) }
