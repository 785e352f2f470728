package store

import (
	"context"
	"strings"
)

// insertSizes are how many rows one INSERT takes: many share the cost of
// starting a statement. A list is cut into the largest that fit.
var insertSizes = [...]int{32, 8, 2, 1}

// insertRows collects rows for one table.
type insertRows struct {
	args  []any
	width int
}

func (r *insertRows) add(values ...any) {
	r.width = len(values)
	r.args = append(r.args, values...)
}

func (r *insertRows) flush(ctx context.Context, q *sqliteQuerier, s *insertSQL) error {
	left := r.args
	for i, size := range insertSizes {
		for n := size * r.width; n > 0 && len(left) >= n; left = left[n:] {
			if _, err := q.exec(ctx, s[i], left[:n]...); err != nil {
				return err
			}
		}
	}
	r.reset()
	return nil
}

// reset forgets the rows and keeps the room, up to a bound.
func (r *insertRows) reset() {
	clear(r.args)
	if r.args = r.args[:0]; cap(r.args) > 1<<16 {
		r.args = nil
	}
}

// insertSQL is an INSERT for each of insertSizes.
type insertSQL [len(insertSizes)]string

func newInsertSQL(head string, width int) (s insertSQL) {
	row := "(" + strings.Repeat("?, ", width-1) + "?)"
	for i, size := range insertSizes {
		s[i] = head + strings.Repeat(row+", ", size-1) + row
	}
	return s
}

// sqliteInserts are the statements of insertRows.
type sqliteInserts struct{ messages, deliveries, recipients, events, attempts insertSQL }

func newSQLiteInserts() sqliteInserts {
	return sqliteInserts{
		newInsertSQL(insertMessage, 24), newInsertSQL(insertDelivery, 26), newInsertSQL(insertRecipient, 9), newInsertSQL(insertEvents, 5),
		newInsertSQL(insertAttempt, 15),
	}
}

// flush writes the rows that submissions have left. Everything that may look
// at them comes after it.
func (b *sqliteBatch) flush(ctx context.Context) error {
	for _, x := range []struct {
		rows *insertRows
		sql  *insertSQL
	}{
		{&b.messages, &b.inserts.messages},
		{&b.deliveries, &b.inserts.deliveries},
		{&b.recipients, &b.inserts.recipients},
		{&b.events, &b.inserts.events},
		{&b.attempts, &b.inserts.attempts},
	} {
		if err := x.rows.flush(ctx, b.q, x.sql); err != nil {
			return err
		}
	}
	return nil
}
