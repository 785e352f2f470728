package store

import (
	"context"
	"encoding/json"
	"strings"

	"hongyan/internal/domain"
)

// piece is what became of a further piece of a split text for one recipient.
type piece struct {
	outcome domain.Outcome
	errcode int
	reason  string
	done    int64
}

// pieces tells, by kind and key, for which recipients of a message a piece
// behind the first has not come to what the first may have come to: it was not
// accepted, or not yet. The rows of recipients belong to the first pieces.
func (s *Store) pieces(ctx context.Context, q querier, messageID string) (map[[2]string]piece, error) {
	const query = `SELECT body, state, errcode, reason, coalesce(finished_at, 0), handling FROM deliveries
		WHERE message_id = $1 AND state NOT IN ('sent', 'partial') AND handling LIKE '%"part":%' ORDER BY id LIMIT $2`
	out := map[[2]string]piece{}
	_, err := collect(ctx, q, query, []any{messageID, maxDeliveries}, func(r rows) (struct{}, error) {
		var body []byte
		var state, text string
		var p piece
		if err := r.Scan(&body, &state, &p.errcode, &p.reason, &p.done, &text); err != nil {
			return struct{}{}, err
		}
		h, err := parseJSON[domain.Handling](text)
		if err != nil || h.Part < 2 {
			return struct{}{}, err
		}
		p.outcome = domain.OutcomeOf(domain.State(state))
		for _, key := range addressees(body) {
			if old, known := out[key]; !known || domain.Worse(p.outcome, old.outcome) {
				out[key] = p
			}
		}
		return struct{}{}, nil
	})
	return out, err
}

// addressees reads kinds and keys of those whom the body of a delivery names.
func addressees(body []byte) (out [][2]string) {
	var to struct{ ToUser, ToParty, ToTag string }
	if json.Unmarshal(body, &to) != nil {
		return nil
	}
	if to.ToUser == "@all" {
		return [][2]string{{string(domain.KindAll), recipientKey(to.ToUser)}}
	}
	for _, l := range []struct {
		kind domain.RecipientKind
		ids  string
	}{{domain.KindUser, to.ToUser}, {domain.KindDepartment, to.ToParty}, {domain.KindTag, to.ToTag}} {
		for id := range strings.SplitSeq(l.ids, "|") {
			out = append(out, [2]string{string(l.kind), recipientKey(id)})
		}
	}
	return out
}

// spoiled reports whether recipients of a message may have another outcome than
// its first pieces, and whether all of them have that of the worst piece:
// each piece went to all of them in one call.
func spoiled(v *domain.MessageView) (some, all bool) {
	all = true
	for i := range v.Deliveries {
		d := &v.Deliveries[i].Delivery
		all = all && d.Recipients == v.Message.Recipients && d.Handling.Part > 0
		some = some || d.Handling.Part > 1 && domain.OutcomeOf(d.State) != domain.OutcomeAccepted
	}
	return some, all
}

// worst is the outcome of those to whom all of the deliveries went.
func worst(ds []domain.DeliveryView) domain.Outcome {
	out := domain.OutcomeAccepted
	for i := range ds {
		if o := domain.OutcomeOf(ds[i].Delivery.State); domain.Worse(o, out) {
			out = o
		}
	}
	return out
}

// recount counts the recipients of a message one by one.
func (s *Store) recount(ctx context.Context, q querier, v *domain.MessageView) error {
	worse, err := s.pieces(ctx, q, v.Message.ID)
	if err != nil {
		return err
	}
	v.Counts = domain.RecipientCounts{Total: v.Message.Recipients}
	left := v.Message.Recipients
	_, err = collect(ctx, q, `SELECT r.kind, r.rkey, coalesce(r.outcome, ''), coalesce(d.state, $2) FROM recipients r
		LEFT JOIN deliveries d ON d.id = r.delivery_id WHERE r.message_id = $1`, []any{v.Message.ID, string(v.State)}, func(r rows) (struct{}, error) {
		var kind, key, out, state string
		if err := r.Scan(&kind, &key, &out, &state); err != nil {
			return struct{}{}, err
		}
		o := domain.Outcome(out)
		if o == "" {
			o = domain.OutcomeOf(domain.State(state))
		}
		if p, known := worse[[2]string{kind, key}]; known && domain.Worse(p.outcome, o) {
			o = p.outcome
		}
		tally(&v.Counts, o, 1)
		left--
		return struct{}{}, nil
	})
	tally(&v.Counts, domain.OutcomeOf(v.State), max(left, 0))
	return err
}
