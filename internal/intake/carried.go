package intake

import (
	"context"
	"strings"

	"hongyan/internal/domain"
	"hongyan/internal/plan"
)

// digestBound is how many digests are looked at for one resend. A digest that
// had to wait can be carried by another one.
const digestBound = 200

// address is a receiver as WeCom compares them.
type address struct {
	kind domain.RecipientKind
	id   string // in lower case
}

func addressOf(r domain.Recipient) address { return address{r.Kind, strings.ToLower(r.ID)} }

// refusedIn names those whom WeCom did not reach in calls that it took.
func refusedIn(rows []domain.Recipient) map[address]bool {
	refused := map[address]bool{}
	for _, r := range rows {
		if r.Outcome == domain.OutcomeInvalid || r.Outcome == domain.OutcomeUnlicensed {
			refused[addressOf(r)] = true
		}
	}
	return refused
}

// digests are those that carry a message, by id, with what became of them.
type digests map[string]digest

type digest struct {
	id      string
	state   domain.State
	parts   map[address]*domain.Delivery // who gets it by which: it may be divided
	refused map[address]bool
}

// digestsOf reads the digests that carry deliveries, and those that carry these.
func (in *Intake) digestsOf(ctx context.Context, deliveries []domain.DeliveryView) (digests, error) {
	out := digests{}
	todo := deliveries
	for len(todo) > 0 && len(out) < digestBound {
		id := todo[0].Delivery.MergedInto
		todo = todo[1:]
		if _, known := out[id]; id == "" || known {
			continue
		}
		view, err := in.cfg.Store.FindMessage(ctx, id)
		if domain.CodeOf(err) == domain.CodeNotFound { // forgotten already
			continue
		}
		if err != nil {
			return nil, err
		}
		rows, err := in.recipientsOf(ctx, id)
		if err != nil {
			return nil, err
		}
		d := digest{id, view.State, map[address]*domain.Delivery{}, refusedIn(rows)}
		for i := range view.Deliveries {
			part := &view.Deliveries[i].Delivery
			for _, r := range plan.Addressed(part.Lane, part.Body).AppendRecipients(nil, "", "") {
				d.parts[addressOf(r)] = part
			}
		}
		out[id] = d
		todo = append(todo[:len(todo):len(todo)], view.Deliveries...)
	}
	return out, nil
}

// missed reports whether a digest has ended without reaching somebody whom it
// was for. One that is not known counts as arrived.
func (ds digests) missed(id string, a address) bool {
	for range digestBound { // from each digest to the one that carries it
		d := ds[id].parts[a]
		switch {
		case d == nil || !d.State.Final() || d.State == domain.StateSent:
			return false
		case d.State == domain.StatePartial:
			return ds[id].refused[a]
		case d.State != domain.StateMerged:
			return true
		}
		id = d.MergedInto
	}
	return false
}

// open gives one of them that has not ended.
func (ds digests) open() (open digest, ok bool) {
	for id, d := range ds {
		if !d.state.Final() && (!ok || id < open.id) {
			open, ok = d, true
		}
	}
	return open, ok
}
