package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/domain"
)

// idSlack is how far the time inside an id may be from the message's time:
// clocks of nodes differ, and ids borrow from the future in a rush.
const idSlack = time.Hour

// filter builds the one statement whose text depends on the request. Values
// only ever travel as parameters.
type filter struct {
	from  string
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

// ListMessages returns a page of messages, newest first, without attempts and
// bodies. A search in text walks the messages from the newest on and ends with
// domain.CodeUnavailable when it finds no full page within five seconds.
func (s *Store) ListMessages(ctx context.Context, mf domain.MessageFilter) (domain.MessagePage, error) {
	crowded, err := s.crowded(ctx, mf.State)
	if err != nil {
		return domain.MessagePage{}, err
	}
	f, err := s.messageFilter(mf, crowded)
	if err != nil {
		return domain.MessagePage{}, err
	}
	limit := min(max(mf.Limit, 1), maxPage)
	query := `SELECT ` + messageColumns + f.from
	if len(f.where) > 0 {
		query += ` WHERE ` + strings.Join(f.where, ` AND `)
	}
	query += ` ORDER BY m.id DESC LIMIT ` + f.arg(limit+1)
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	found, err := collect(ctx, q, query, f.args, scanMessage)
	if err != nil {
		return domain.MessagePage{}, s.readError("list messages", err)
	}
	var page domain.MessagePage
	if len(found) > limit {
		found = found[:limit]
		page.NextCursor = found[limit-1].ID
	}
	if page.Items, err = s.views(ctx, q, found, listColumns); err != nil {
		return domain.MessagePage{}, s.readError("list deliveries", err)
	}
	return page, nil
}

func (s *Store) messageFilter(mf domain.MessageFilter, crowded bool) (*filter, error) {
	f := &filter{from: ` FROM messages m`}
	id := `m.id`
	if mf.User != "" {
		// Driven by the recipient's own index, in the order of the list.
		f.from = ` FROM recipients u CROSS JOIN messages m`
		id = `u.message_id`
		f.where = append(f.where, `m.id = u.message_id`, `u.kind = 'user'`)
		f.add(`u.rkey = ?`, recipientKey(mf.User))
	}
	if mf.Cursor != "" {
		if !domain.ValidID(domain.PrefixMessage, mf.Cursor) {
			return nil, badCursor()
		}
		f.add(id+` < ?`, mf.Cursor)
	}
	if !mf.Since.IsZero() {
		f.add(id+` >= ?`, domain.IDBound(domain.PrefixMessage, mf.Since.Add(-idSlack)))
		f.add(`m.created_at >= ?`, micros(mf.Since))
	}
	if !mf.Until.IsZero() {
		f.add(id+` < ?`, domain.IDBound(domain.PrefixMessage, mf.Until.Add(idSlack)))
		f.add(`m.created_at < ?`, micros(mf.Until))
	}
	if mf.Scene != "" {
		f.add(`m.scene = ? AND m.scene <> ''`, clean(mf.Scene))
	}
	if mf.App != "" {
		f.add(`m.app = ? AND m.app <> ''`, clean(mf.App))
	}
	if mf.Reference != "" {
		f.add(`m.reference = ? AND m.reference <> ''`, clean(mf.Reference))
	}
	if mf.Source != "" {
		f.add(`m.source = ?`, clean(mf.Source))
	}
	if len(mf.Scenes) > 0 {
		f.add(`m.scene `+s.engine.inList("?"), listJSON(mf.Scenes))
	}
	if len(mf.Apps) > 0 {
		f.add(`m.app `+s.engine.inList("?"), listJSON(mf.Apps))
	}
	if mf.Merged != "" {
		f.add(`m.id IN (SELECT message_id FROM deliveries WHERE merged_into = ? AND merged_into <> '')`, clean(mf.Merged))
	}
	f.state(mf.State, crowded)
	if mf.Errcode != nil {
		f.errcode(*mf.Errcode)
	}
	if mf.Query != "" {
		like := ` ` + s.engine.likeOperator() + ` ? ESCAPE '\'`
		f.add(`(m.title`+like+` OR m.text`+like+`)`, `%`+escapeLike(clean(mf.Query))+`%`)
	}
	return f, nil
}

// crowded reports whether so many deliveries wait that a list of waiting
// messages must not begin with them.
func (s *Store) crowded(ctx context.Context, st domain.State) (bool, error) {
	const few = 2000
	if st != domain.StateQueued && st != domain.StateScheduled {
		return false, nil
	}
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	var n int
	_, err := queryRow(ctx, q, `SELECT count(*) FROM (SELECT 1 AS one FROM deliveries WHERE state IN ('queued', 'scheduled') LIMIT $1) waiting`, []any{few + 1}, &n)
	return n > few, s.readError("count what waits", err)
}

// state filters by the state as domain.Combine derives it. Open states follow
// from the deliveries; the row of an open message is not kept up to date.
//
// A few waiting deliveries are listed first and their messages picked out of
// the history; beside many (crowded) the messages are walked from the newest
// on, and each asked whether it waits.
func (f *filter) state(st domain.State, crowded bool) {
	const open = `m.finished_at IS NULL`
	sending := `m.id IN (SELECT message_id FROM deliveries WHERE state = 'sending')`
	queued := `m.id IN (SELECT message_id FROM deliveries WHERE state IN ('queued', 'scheduled') AND state = 'queued')`
	waiting := `m.id IN (SELECT message_id FROM deliveries WHERE state IN ('queued', 'scheduled') AND state = 'scheduled')`
	if crowded {
		const has = `EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id AND d.state = `
		queued, waiting = has+`'queued')`, has+`'scheduled')`
	}
	switch st {
	case "":
	case domain.StateSending:
		f.where = append(f.where, open, `(`+sending+` OR m.deliveries = 0 AND m.state = 'sending')`)
	case domain.StateQueued:
		f.where = append(f.where, open, `(`+queued+` AND NOT `+sending+` OR m.deliveries = 0 AND m.state = 'queued')`)
	case domain.StateScheduled:
		f.where = append(f.where, open, `(`+waiting+` AND NOT `+queued+` AND NOT `+sending+` OR m.deliveries = 0 AND m.state = 'scheduled')`)
	default:
		f.add(`m.state = ?`, string(st))
	}
}

// errcode finds messages of which WeCom answered a call, or spoke of a
// recipient, with that code.
func (f *filter) errcode(code int) {
	if code == 0 {
		f.where = append(f.where, `EXISTS (SELECT 1 FROM deliveries d JOIN attempts a ON a.delivery_id = d.id
			WHERE d.message_id = m.id AND a.errcode = 0 AND a.class = 'ok')`)
		return
	}
	f.add(`m.id IN (SELECT d.message_id FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE a.errcode = ? AND a.errcode <> 0
		UNION SELECT message_id FROM recipients WHERE outcome IS NOT NULL AND errcode = ?)`, code)
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscaper.Replace(s) }
