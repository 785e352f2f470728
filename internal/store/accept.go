package store

import (
	"context"
	"strings"

	"hongyan/internal/domain"
)

const maxIdemKey = 255

// Accept commits a submission: all of it or, when its idempotency key is
// known, nothing but the answer that is stored under the key. Deliveries in
// state sending must carry the fence under which their slot was reserved; when
// the lane has moved on since, the submission is refused with
// domain.CodeUnavailable.
func (s *Store) Accept(ctx context.Context, sub domain.Submission) (domain.AcceptResult, error) {
	if err := checkSubmission(&sub); err != nil {
		return domain.AcceptResult{}, err
	}
	o := &op{submission: &sub, rows: 2*len(sub.Messages) + len(sub.Deliveries) + len(sub.Recipients)}
	if err := s.submit(ctx, o); err != nil {
		return domain.AcceptResult{}, err
	}
	return domain.AcceptResult{Replay: o.replay}, nil
}

// checkSubmission refuses what would fail in the database, so that it cannot
// spoil a batch, and fills in what follows from the rest. It works on copies.
func checkSubmission(sub *domain.Submission) error {
	bad := func(format string, args ...any) error {
		return domain.Errorf(domain.CodeInternal, "submission: "+format, args...)
	}
	if len(sub.Messages) == 0 {
		return bad("no message")
	}
	if k := sub.Idem; k != nil {
		if k.Key == "" || len(k.Key) > maxIdemKey*4 || clean(k.Key) != k.Key {
			return domain.Invalid(domain.FieldError{Code: "format", Message: "the idempotency key is not usable"})
		}
	}
	messages := make([]domain.Message, len(sub.Messages))
	copy(messages, sub.Messages)
	deliveries := make([]domain.Delivery, len(sub.Deliveries))
	copy(deliveries, sub.Deliveries)
	index := places{}
	states := make([][]domain.State, len(messages))
	for i := range messages {
		m := &messages[i]
		if m.ID == "" || !index.add(m.ID) || m.CreatedAt.IsZero() {
			return bad("message %q is empty, twice there or without a time", m.ID)
		}
		m.Deliveries, m.Recipients = 0, 0
		m.Title, m.Text, m.Reference = clean(m.Title), clean(m.Text), clean(m.Reference)
		m.RequestID, m.TraceParent, m.DigestKey = clean(m.RequestID), clean(m.TraceParent), clean(m.DigestKey)
	}
	reached := places{}
	for i := range deliveries {
		d := &deliveries[i]
		at, ok := index.at(d.MessageID)
		if !ok || d.ID == "" || !reached.add(d.ID) || d.Lane == "" || !d.State.Valid() || d.Priority < domain.PriorityUrgent || d.Priority > domain.PriorityLow {
			return bad("delivery %q of message %q", d.ID, d.MessageID)
		}
		if d.Since.IsZero() {
			d.Since = d.DueAt
		}
		messages[at].Deliveries++
		states[at] = append(states[at], d.State)
	}
	counts := make([]int, len(deliveries))
	for i := range sub.Recipients {
		r := &sub.Recipients[i]
		if at, ok := reached.at(r.DeliveryID); ok {
			counts[at]++
		}
		at, ok := index.at(r.MessageID)
		if !ok || r.ID == "" {
			return bad("recipient %q of message %q", r.ID, r.MessageID)
		}
		messages[at].Recipients++
	}
	for i, n := range counts {
		switch d := &deliveries[i]; {
		case n == 0, n == d.Recipients:
		case d.Recipients == 0:
			d.Recipients = n
		default: // the count is what a claim knows the delivery's state by
			return bad("delivery %q counts %d recipients and has %d", d.ID, d.Recipients, n)
		}
	}
	for i := range deliveries {
		at, _ := index.at(deliveries[i].MessageID)
		deliveries[i].Sole = messages[at].Deliveries == 1
	}
	for i := range messages {
		if len(states[i]) > 0 {
			messages[i].State = domain.Combine(states[i])
		}
		if !messages[i].State.Valid() {
			return bad("message %q has no state", messages[i].ID)
		}
	}
	sub.Messages, sub.Deliveries = messages, deliveries
	return nil
}

// places remembers where ids stand in a list: most lists have one entry, and a
// map would cost more than looking.
type places struct {
	few  [4]string
	n    int
	many map[string]int // from the fifth on
}

// add appends an id and reports whether it is new.
func (p *places) add(id string) bool {
	if _, ok := p.at(id); ok {
		return false
	}
	if p.n < len(p.few) {
		p.few[p.n] = id
	} else {
		if p.many == nil {
			p.many = map[string]int{}
		}
		p.many[id] = p.n
	}
	p.n++
	return true
}

func (p *places) at(id string) (int, bool) {
	for i := range min(p.n, len(p.few)) {
		if p.few[i] == id {
			return i, true
		}
	}
	i, ok := p.many[id]
	return i, ok
}

// recipientKey is how recipients are compared: WeCom ignores case.
func recipientKey(id string) string { return strings.ToLower(clean(id)) }

// FindIdemKey returns what an idempotency key remembers; nil when it does not.
func (s *Store) FindIdemKey(ctx context.Context, keyID, key string) (*domain.IdemKey, error) {
	ctx, cancel, q := s.read(ctx)
	defer cancel()
	k, err := findIdem(ctx, q, keyID, key)
	return k, s.readError("find an idempotency key", err)
}

// lanesSending lists the lanes of deliveries that come already claimed, with
// the fence of each.
func lanesSending(sub *domain.Submission) map[string]int64 {
	var out map[string]int64
	for i := range sub.Deliveries {
		if d := &sub.Deliveries[i]; d.State == domain.StateSending {
			if out == nil {
				out = map[string]int64{}
			}
			out[d.Lane] = d.Fence
		}
	}
	return out
}

func laneLost(lane string) *domain.Error {
	return domain.Errorf(domain.CodeUnavailable, "lane %s has moved to another node; try again", lane)
}
