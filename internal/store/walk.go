package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hongyan/internal/domain"
)

const (
	// idSlack is how far the time inside an id may be from the message's time:
	// clocks of nodes differ, and ids borrow from the future in a rush.
	idSlack = time.Hour
	// maxParts bounds the parts of a walk; a key with more scenes or apps than
	// that reads the messages of all.
	maxParts = 32
	// scheduled is the condition of the index over what is scheduled.
	scheduled = `finished_at IS NULL AND state <> 'sending' AND state <> 'queued'`
	// commonSource is the source that has no index: most messages have it.
	commonSource = "api"
)

// span is a range of message ids: from is in it, to is not.
type span struct{ from, to string }

func spanOf(mf domain.MessageFilter) (span, error) {
	x := span{to: domain.PrefixMessage + "~"} // behind every id
	if mf.Cursor != "" {
		if !domain.ValidID(domain.PrefixMessage, mf.Cursor) {
			return x, badCursor()
		}
		x.to = mf.Cursor
	}
	if !mf.Since.IsZero() {
		x.from = domain.IDBound(domain.PrefixMessage, mf.Since.Add(-idSlack))
	}
	if !mf.Until.IsZero() {
		x.to = min(x.to, domain.IDBound(domain.PrefixMessage, mf.Until.Add(idSlack)))
	}
	return x, nil
}

// part is one index over (key, id) and a value of its key.
type part struct {
	table, key, id string
	only           string // what the index is limited to, as SQL; may be empty
	value          any
	more           string // compares a column of the index with a bound, as SQL; may be empty
	bound          any
}

// query walks the part of the index that has the value. Both comparisons are of
// whole rows and the order names the key too: so no other index can serve, and
// no planner is tempted to try.
func (p *part) query(f *filter) string {
	value, only := f.arg(p.value), ""
	if p.only != "" {
		only = ` AND ` + p.only
	}
	if p.more != "" {
		only += ` AND ` + p.more + f.arg(p.bound)
	}
	return fmt.Sprintf(`SELECT %[3]s AS id FROM %[1]s WHERE (%[2]s, %[3]s) >= (%[5]s, $1) AND (%[2]s, %[3]s) < (%[5]s, $2)%[4]s
		ORDER BY %[2]s DESC, %[3]s DESC LIMIT $3`, p.table, p.key, p.id, only, value)
}

// walk goes through the messages of its parts from the newest on.
type walk struct {
	query string
	args  []any // of query; the first three are range and length of a step
	left  span
	ended bool
	found []domain.Message // for pick
}

func newWalk(over span, parts ...part) *walk {
	f := &filter{args: make([]any, 3)}
	each := make([]string, len(parts))
	for i := range parts {
		each[i] = parts[i].query(f)
	}
	w := &walk{left: over, query: each[0], args: f.args}
	if len(parts) == 1 {
		return w
	}
	for i := range each {
		each[i] = fmt.Sprintf(`SELECT * FROM (%s) p%d`, each[i], i)
	}
	w.query = `SELECT id FROM (` + strings.Join(each, ` UNION ALL `) + `) parts ORDER BY id DESC LIMIT $3`
	return w
}

// step returns the next ids, at most n.
func (w *walk) step(ctx context.Context, q querier, n int) ([]string, error) {
	args := slices.Clone(w.args)
	args[0], args[1], args[2] = w.left.from, w.left.to, n
	ids, err := collect(ctx, q, w.query, args, func(r rows) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	})
	if err != nil {
		return nil, err
	}
	if w.ended = len(ids) < n; !w.ended {
		w.left.to = ids[n-1]
	}
	return slices.Compact(ids), nil
}

// walksOf lists the indexes that lead to what a filter asks for.
func walksOf(mf domain.MessageFilter, over span, now time.Time) (walks []*walk) {
	add := func(parts ...part) { walks = append(walks, newWalk(over, parts...)) }
	column := func(name, value string) part {
		return part{table: `messages`, key: name, id: `id`, only: name + ` <> ''`, value: clean(value)}
	}
	if mf.Scene != "" {
		add(column(`scene`, mf.Scene))
	}
	if mf.App != "" {
		add(column(`app`, mf.App))
	}
	if mf.Reference != "" {
		add(column(`reference`, mf.Reference))
	}
	if mf.Source != "" && mf.Source != commonSource {
		add(part{table: `messages`, key: `source`, id: `id`, only: `source <> '` + commonSource + `'`, value: clean(mf.Source)})
	}
	if mf.User != "" {
		add(part{table: `recipients`, key: `rkey`, id: `message_id`, only: `kind = 'user'`, value: recipientKey(mf.User)})
	}
	if mf.Merged != "" {
		add(part{table: `deliveries`, key: `merged_into`, id: `message_id`, only: `merged_into <> ''`, value: clean(mf.Merged)})
	}
	if mf.Errcode != nil {
		add(errcodeParts(*mf.Errcode)...)
	}
	if mf.State != "" {
		add(stateParts(mf.State, now)...)
	}
	for _, x := range []struct {
		column string
		values []string
	}{{`scene`, mf.Scenes}, {`app`, mf.Apps}} {
		if len(x.values) == 0 || len(x.values) > maxParts {
			continue
		}
		var parts []part
		for _, v := range x.values {
			parts = append(parts, column(x.column, v))
		}
		add(parts...)
	}
	return walks
}

// inState is the index over the deliveries of a state.
func inState(st domain.State) part {
	return part{table: `deliveries`, key: `state`, id: `message_id`, value: string(st)}
}

// stateParts are the messages that have a delivery shown in the state, or in one
// of those that together are partial, and the few without deliveries.
func stateParts(st domain.State, now time.Time) []part {
	parts := []part{{table: `messages`, key: `deliveries`, id: `id`, only: `deliveries = 0`, value: int64(0)}}
	// What is scheduled was never tried. It is named by what it is not, or the
	// planners would look into the index by state, which has no times.
	scheduled := part{table: `deliveries`, key: `tries`, id: `message_id`, only: scheduled, value: int64(0), bound: micros(now)}
	switch st {
	case domain.StateScheduled:
		scheduled.more = `due_at > `
		return append(parts, scheduled)
	case domain.StateQueued:
		scheduled.more = `due_at <= `
		parts = append(parts, scheduled)
	}
	parts = append(parts, inState(st))
	if st == domain.StatePartial { // some were reached: what became of the others?
		for _, other := range domain.States() {
			if other.Final() && other != domain.StatePartial && other != domain.StateSent && other != domain.StateMerged {
				parts = append(parts, inState(other))
			}
		}
	}
	return parts
}

func errcodeParts(code int) (parts []part) {
	if code == 0 { // whatever was ever called
		for _, st := range domain.States() {
			if st != domain.StateScheduled && st != domain.StateQueued && st != domain.StateMerged {
				parts = append(parts, inState(st))
			}
		}
		return parts
	}
	for _, table := range []string{`attempts`, `recipients`} {
		parts = append(parts, part{table: table, key: `errcode`, id: `message_id`, only: `errcode <> 0`, value: code})
	}
	return parts
}
