package lane

import (
	"maps"

	"hongyan/internal/domain"
)

// parts keeps the pieces of a split text in order: a piece goes when those
// before it have ended, or a reader sees the end before the beginning. Messages
// of one piece are not in it. Not safe for concurrent use.
type parts struct{ of map[string]*sequence }

// sequence is one message's pieces.
type sequence struct {
	open map[string]int    // begun and not ended, by delivery id
	next []domain.Delivery // set aside until then
}

func newParts() *parts { return &parts{of: map[string]*sequence{}} }

// begin notes that a delivery goes out.
func (p *parts) begin(d *domain.Delivery) {
	if d.Handling.Part == 0 {
		return
	}
	s := p.of[d.MessageID]
	if s == nil {
		s = &sequence{open: map[string]int{}}
		p.of[d.MessageID] = s
	}
	s.open[d.ID] = d.Handling.Part
}

// aside keeps a delivery until the pieces before it have ended; false when it
// may go.
func (p *parts) aside(d *domain.Delivery) bool {
	s := p.of[d.MessageID]
	if d.Handling.Part == 0 || s == nil {
		return false
	}
	for id, part := range s.open {
		if part < d.Handling.Part && id != d.ID {
			s.next = append(s.next, *d)
			return true
		}
	}
	return false
}

// end notes that a delivery will not be tried again soon, and returns those
// that may be looked at again.
func (p *parts) end(d *domain.Delivery) []domain.Delivery {
	s := p.of[d.MessageID]
	if d.Handling.Part == 0 || s == nil {
		return nil
	}
	delete(s.open, d.ID)
	next := s.next
	s.next = nil
	if len(s.open) == 0 {
		delete(p.of, d.MessageID)
	}
	return next
}

// forget drops deliveries that were set aside, or had begun and wait.
func (p *parts) forget(gone map[string]struct{}) (ids []string) {
	for message, s := range p.of {
		maps.DeleteFunc(s.open, func(id string, _ int) bool { _, out := gone[id]; return out })
		kept := s.next[:0]
		for _, d := range s.next {
			if _, out := gone[d.ID]; out {
				ids = append(ids, d.ID)
				continue
			}
			kept = append(kept, d)
		}
		if s.next = kept; len(s.open)+len(kept) == 0 {
			delete(p.of, message)
		}
	}
	return ids
}

// clear forgets everything and returns what was set aside.
func (p *parts) clear() (ids []string) {
	for _, s := range p.of {
		for i := range s.next {
			ids = append(ids, s.next[i].ID)
		}
	}
	clear(p.of)
	return ids
}
