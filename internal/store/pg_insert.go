package store

import (
	"database/sql"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"hongyan/internal/domain"
)

// columns collects the arrays of one statement, in the order of its
// parameters: pointers to slices.
type columns struct {
	n     int
	slots []any
}

// row appends one value per column; the first row decides the types. It keeps
// no pointer of values, so that these need no room of their own on the heap.
func (c *columns) row(values ...any) {
	if c.slots == nil {
		c.slots = make([]any, len(values))
	}
	for i, v := range values {
		switch v := v.(type) {
		case string:
			put(&c.slots[i], v)
		case int:
			put(&c.slots[i], int64(v))
		case int64:
			put(&c.slots[i], v)
		case []byte:
			put(&c.slots[i], v)
		case sql.Null[int64]:
			put(&c.slots[i], pointer(v))
		case sql.Null[string]:
			put(&c.slots[i], pointer(v))
		default:
			panic("store: column type")
		}
	}
	c.n++
}

func put[T any](slot *any, v T) {
	const few = 16 // rows of a small batch
	l, _ := (*slot).(*[]T)
	if l == nil {
		l = new([]T)
		*l = make([]T, 0, few)
		*slot = l
	}
	*l = append(*l, v)
}

func pointer[T any](v sql.Null[T]) *T {
	if !v.Valid {
		return nil
	}
	x := v.V // not v, which would be on the heap also when there is nothing
	return &x
}

// nullable types the result of finished, outcome and nextDue.
func nullable[T any](v any) (n sql.Null[T]) {
	n.V, n.Valid = v.(T)
	return n
}

// inserts is what submissions add.
type inserts struct {
	messages, deliveries, recipients, events columns
}

func (in *inserts) add(sub *domain.Submission) {
	for i := range sub.Messages {
		m := &sub.Messages[i]
		in.messages.row(m.ID, m.KeyID, m.Source, m.Reference, m.RequestID, m.TraceParent, m.Scene, m.SceneVersion, m.App, m.Type,
			m.Title, m.Text, int64(m.Priority), string(m.State), micros(m.CreatedAt), micros(m.SendAt), micros(m.ExpiresAt),
			nullable[int64](finished(m.State, m.FinishedAt, m.CreatedAt)), orEmpty(m.Request), m.DigestKey, m.MergedInto, m.ResendOf,
			m.Deliveries, m.Recipients)
		in.events.row(domain.EventAccepted, m.ID, "", micros(m.CreatedAt), "")
	}
	for i := range sub.Deliveries {
		d := &sub.Deliveries[i]
		in.deliveries.row(d.ID, d.MessageID, d.Lane, int64(d.Priority), string(d.State), string(d.WaitReason), micros(d.DueAt),
			micros(d.ExpiresAt), orEmpty(d.Body), mediaJSON(d.Media), dupUntil(d.DupInterval, d.DupUntil), d.DupWindow, d.OnUncertain, d.Scene, d.Digest,
			handlingJSON(d.Handling), d.Recipients, d.Tries,
			d.Attempts, d.FailedClass, d.Owner, d.Fence, micros(d.StartedAt),
			nullable[int64](finished(d.State, d.FinishedAt, d.Since)), micros(d.Since), boolInt(d.Sole))
	}
	// Their messages are new, so that only one of the same submission can be in
	// the way. ON CONFLICT costs as much again as the row.
	seen := make(map[[3]string]struct{}, len(sub.Recipients))
	for i := range sub.Recipients {
		r := &sub.Recipients[i]
		key := [3]string{r.MessageID, string(r.Kind), recipientKey(r.ID)}
		if len(sub.Recipients) > 1 {
			if _, twice := seen[key]; twice {
				continue
			}
			seen[key] = struct{}{}
		}
		in.recipients.row(key[0], key[1], key[2], clean(r.ID), r.DeliveryID,
			nullable[string](outcome(r.Outcome)), r.Errcode, r.Reason, micros(r.At))
	}
}

const (
	pgInsertMessages = `INSERT INTO messages (id, key_id, source, reference, request_id, traceparent, scene, scene_version, app, type,
		title, text, priority, state, created_at, send_at, expires_at, finished_at, request, digest_key, merged_into, resend_of,
		deliveries, recipients) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
		$8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::text[], $15::bigint[], $16::bigint[],
		$17::bigint[], $18::bigint[], $19::bytea[], $20::text[], $21::text[], $22::text[], $23::bigint[], $24::bigint[])`
	pgInsertDeliveries = `INSERT INTO deliveries (id, message_id, lane, priority, state, wait_reason, due_at, expires_at, body, media,
		dup_until, dup_window, on_uncertain, scene, digest, handling, recipients, tries, attempts, failed_class, owner, fence,
		started_at, finished_at, since, sole) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[],
		$6::text[], $7::bigint[], $8::bigint[], $9::bytea[], $10::text[], $11::bigint[], $12::bigint[], $13::text[], $14::text[],
		$15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::bigint[], $20::text[], $21::text[], $22::bigint[], $23::bigint[],
		$24::bigint[], $25::bigint[], $26::bigint[])`
	pgInsertRecipients = `INSERT INTO recipients (message_id, kind, rkey, id, delivery_id, outcome, errcode, reason, at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bigint[])`
	pgInsertEvents = `INSERT INTO events (type, message_id, delivery_id, at, data)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])`
	pgInsertIdem = `INSERT INTO idempotency (key_id, key, body_hash, status, answer, created_at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bigint[]) ORDER BY 1, 2
		ON CONFLICT DO NOTHING RETURNING key_id, key`
)

func (in *inserts) queue(b *pgx.Batch) {
	in.messages.queue(b, pgInsertMessages)
	in.deliveries.queue(b, pgInsertDeliveries)
	in.recipients.queue(b, pgInsertRecipients)
	in.events.queue(b, pgInsertEvents)
}

// queue adds the statement unless there are no rows for it, and returns it.
func (c *columns) queue(b *pgx.Batch, query string) *pgx.QueuedQuery {
	if c.n == 0 {
		return nil
	}
	return b.Queue(query, c.slots...)
}

// idemArrays takes idempotency keys.
type idemArrays struct{ columns }

func (a *idemArrays) add(k *domain.IdemKey) {
	a.row(k.KeyID, k.Key, k.BodyHash[:], k.Status, orEmpty(k.Answer), micros(k.CreatedAt))
}

// queue returns the set that will hold the keys that were new; nil when there
// are none to take.
func (a *idemArrays) queue(b *pgx.Batch) map[[2]string]bool {
	q := a.columns.queue(b, pgInsertIdem)
	if q == nil {
		return nil
	}
	taken := map[[2]string]bool{}
	q.Query(func(r pgx.Rows) error {
		for r.Next() {
			var k [2]string
			if err := r.Scan(&k[0], &k[1]); err != nil {
				return err
			}
			taken[k] = true
		}
		return r.Err()
	})
	return taken
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
