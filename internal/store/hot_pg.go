package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"hongyan/internal/domain"
)

// pgBatch runs the ops of one transaction as a few statements over arrays, a
// few round trips for all of them. Ops that touch the same thing go into waves
// one after the other.
type pgBatch struct {
	conn       *pgx.Conn
	q          *pgQuerier
	next       *pgx.Batch // queued for the next round trip
	xid        string     // of the transaction, for the verdict on a broken commit
	committing bool
}

// wave is a set of ops that do not touch each other's rows.
type wave struct {
	ops     []*op
	touched map[string]struct{}
}

// add takes the op unless it touches what another op of the wave does.
func (w *wave) add(o *op) bool {
	ids := touches(o)
	for _, id := range ids {
		if _, ok := w.touched[id]; ok {
			return false
		}
	}
	if w.touched == nil {
		w.touched = map[string]struct{}{}
	}
	for _, id := range ids {
		w.touched[id] = struct{}{}
	}
	w.ops = append(w.ops, o)
	return true
}

func touches(o *op) []string {
	var ids []string
	if o.submission != nil {
		if k := o.submission.Idem; k != nil {
			ids = append(ids, "idem\x00"+k.KeyID+"\x00"+k.Key)
		}
		for i := range o.submission.Deliveries {
			ids = append(ids, o.submission.Deliveries[i].ID)
		}
	}
	for i := range o.claims {
		ids = append(ids, o.claims[i].DeliveryID)
	}
	for i := range o.results {
		ids = append(ids, o.results[i].Attempt.DeliveryID)
	}
	for i := range o.deferrals {
		ids = append(ids, o.deferrals[i].DeliveryID)
	}
	for i := range o.settlements {
		ids = append(ids, o.settlements[i].DeliveryID)
	}
	return ids
}

func (b *pgBatch) run(ctx context.Context, ops []*op) error {
	b.next = &pgx.Batch{}
	b.next.Queue(`BEGIN`)
	b.next.Queue(`SELECT pg_current_xact_id()::text`).QueryRow(func(r pgx.Row) error { return r.Scan(&b.xid) })
	w := &wave{}
	for _, o := range ops {
		o.err, o.replay = nil, nil
		if o.do == nil && w.add(o) {
			continue
		}
		if err := b.wave(ctx, w.ops); err != nil {
			return err
		}
		w = &wave{}
		if o.do == nil {
			w.add(o)
			continue
		}
		b.next.Queue(`SET LOCAL plan_cache_mode = force_custom_plan`)
		if err := b.send(ctx); err != nil {
			return err
		}
		err := o.do(ctx, b.q)
		if domain.CodeOf(err) != domain.CodeInternal {
			o.err, err = err, nil // refused, nothing written
		}
		if err != nil {
			return err
		}
	}
	if err := b.wave(ctx, w.ops); err != nil {
		return err
	}
	b.committing = true
	b.next.Queue(`COMMIT`)
	if err := b.send(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// send makes one round trip of what is queued.
func (b *pgBatch) send(ctx context.Context) error {
	if b.next.Len() == 0 {
		return nil
	}
	queued := b.next
	b.next = &pgx.Batch{}
	return b.conn.SendBatch(ctx, queued).Close()
}

// wave applies ops that are independent of each other. What nobody has to wait
// for stays queued and goes with the next round trip.
func (b *pgBatch) wave(ctx context.Context, ops []*op) error {
	if len(ops) == 0 {
		return nil
	}
	fences, taken, err := b.prepare(ctx, ops)
	if err != nil {
		return err
	}
	var in inserts
	var cl claimArrays
	var po deferArrays
	var up updates
	for _, o := range ops {
		switch {
		case o.err != nil:
		case o.submission != nil:
			if k := o.submission.Idem; k != nil && !taken[[2]string{k.KeyID, k.Key}] {
				if o.replay, err = findIdem(ctx, b.q, k.KeyID, k.Key); err != nil {
					return err
				}
				if o.replay == nil {
					o.err = domain.Errorf(domain.CodeUnavailable, "the idempotency key is just being forgotten; try again")
				}
				continue
			}
			in.add(o.submission)
		case o.claims != nil:
			cl.add(o, fences)
		case o.results != nil:
			up.addResults(o)
		case o.deferrals != nil:
			po.add(o, fences)
		case o.settlements != nil:
			up.addSettlements(o)
		}
	}
	in.queue(b.next)
	po.queue(b.next)
	cl.queue(b.next)
	up.queue(b.next)
	if cl.empty() && up.empty() {
		return nil
	}
	if err := b.send(ctx); err != nil {
		return err
	}
	return up.follow(ctx, b)
}

// prepare locks the lanes of the ops against a change of owner until the
// commit, and takes the idempotency keys. It returns the lanes' fences and the
// keys that are new; ops whose lane is lost have their error and no key.
func (b *pgBatch) prepare(ctx context.Context, ops []*op) (fences map[string]int64, taken map[[2]string]bool, err error) {
	lanes := map[string]struct{}{}
	reserved := map[*op]map[string]int64{}
	for _, o := range ops {
		if o.submission != nil {
			reserved[o] = lanesSending(o.submission)
			for lane := range reserved[o] {
				lanes[lane] = struct{}{}
			}
		}
		for i := range o.claims {
			lanes[o.claims[i].Lane] = struct{}{}
		}
		for i := range o.deferrals {
			lanes[o.deferrals[i].Lane] = struct{}{}
		}
	}
	fences = map[string]int64{}
	if len(lanes) > 0 {
		keys := slices.Sorted(maps.Keys(lanes))
		b.next.Queue(`SELECT key, fence FROM lanes WHERE key = ANY ($1) ORDER BY key FOR SHARE`, keys).Query(func(r pgx.Rows) error {
			for r.Next() {
				var key string
				var fence int64
				if err := r.Scan(&key, &fence); err != nil {
					return err
				}
				fences[key] = fence
			}
			return r.Err()
		})
	}
	var idem idemArrays
	for _, o := range ops {
		if o.submission != nil && o.submission.Idem != nil {
			idem.add(o.submission.Idem)
		}
	}
	if taken = idem.queue(b.next); taken != nil || len(lanes) > 0 {
		if err := b.send(ctx); err != nil {
			return nil, nil, err
		}
	}
	for _, o := range ops {
		for lane, fence := range reserved[o] {
			if fences[lane] == fence {
				continue
			}
			o.err = laneLost(lane)
			if k := o.submission.Idem; k != nil && taken[[2]string{k.KeyID, k.Key}] { // taken for nothing
				b.next.Queue(`DELETE FROM idempotency WHERE key_id = $1 AND key = $2`, k.KeyID, k.Key)
			}
			break
		}
	}
	return fences, taken, nil
}
