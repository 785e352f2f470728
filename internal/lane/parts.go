package lane

import (
	"slices"

	"hongyan/internal/domain"
)

// askBound is how many texts are looked up at once.
const askBound = 64

// parts keeps the pieces of a split text in order: a piece goes when those
// before it have ended, or a reader sees the end before the beginning. Of what
// is before a piece only the table knows all: an earlier owner may have begun
// it, or it waits there for its time. So the pump looks there for each piece
// that comes up, unless one that is under way here stands in front of it.
// Messages of one piece are not in it. Not safe for concurrent use.
type parts struct {
	of   map[string]*sequence // by message
	ask  []string             // messages to be looked up
	free map[string]bool      // pieces that may go, by delivery id, and whether their text has begun
}

// sequence is one message's pieces.
type sequence struct {
	begun map[string]int // under way in this lane's memory, by delivery id
	aside map[string]int // they wait for those before them
	asked bool
}

func newParts() *parts { return &parts{of: map[string]*sequence{}, free: map[string]bool{}} }

func (p *parts) sequence(message string) *sequence {
	s := p.of[message]
	if s == nil {
		s = &sequence{begun: map[string]int{}, aside: map[string]int{}}
		p.of[message] = s
	}
	return s
}

// begin notes that a delivery goes out.
func (p *parts) begin(d *domain.Delivery) {
	if d.Handling.Part > 0 {
		p.sequence(d.MessageID).begun[d.ID] = d.Handling.Part
	}
}

// way is whether a piece may go.
type way int

const (
	wayFree  way = iota // it may
	wayTaken            // when one has ended that is under way
	wayAsked            // the table must be looked at
)

// way tells whether a delivery may go, and then whether its text has begun. If
// not, it is set aside.
func (p *parts) way(d *domain.Delivery) (w way, begun bool) {
	if d.Handling.Part < 2 {
		return wayFree, false
	}
	begun, free := p.free[d.ID]
	delete(p.free, d.ID)
	w = wayFree
	if !free {
		w = wayAsked
	}
	s := p.sequence(d.MessageID)
	for id, part := range s.begun {
		if part < d.Handling.Part && id != d.ID {
			w = wayTaken
		}
	}
	if w != wayFree {
		p.setAside(d)
	}
	if w == wayAsked {
		p.look(d.MessageID, s)
	}
	p.tidy(d.MessageID, s)
	return w, begun
}

// setAside lets a piece wait until one before it has ended.
func (p *parts) setAside(d *domain.Delivery) {
	p.sequence(d.MessageID).aside[d.ID] = d.Handling.Part
}

// end notes that a delivery has ended or left the memory: those that wait for it
// are looked at again.
func (p *parts) end(message, id string) {
	delete(p.free, id)
	s := p.of[message]
	if s == nil {
		return
	}
	delete(s.begun, id)
	if len(s.aside) > 0 {
		p.look(message, s)
	}
	p.tidy(message, s)
}

func (p *parts) look(message string, s *sequence) {
	if !s.asked {
		s.asked = true
		p.ask = append(p.ask, message)
	}
}

// lookAll is the net under what ended unnoticed, on another node for example.
func (p *parts) lookAll() {
	for message, s := range p.of {
		if len(s.aside) > 0 {
			p.look(message, s)
		}
	}
}

func (p *parts) tidy(message string, s *sequence) {
	if len(s.begun)+len(s.aside) == 0 && !s.asked {
		delete(p.of, message)
	}
}

// next takes the messages to be looked up now.
func (p *parts) next() []string {
	n := min(len(p.ask), askBound)
	messages := slices.Clone(p.ask[:n])
	p.ask = slices.Delete(p.ask, 0, n)
	return slices.DeleteFunc(messages, func(m string) bool {
		s := p.of[m]
		s.asked = false
		p.tidy(m, s)
		return len(s.aside) == 0
	})
}

// forget drops deliveries that have ended elsewhere.
func (p *parts) forget(gone map[string]struct{}) (ids []string) {
	for id := range gone {
		delete(p.free, id)
	}
	for message, s := range p.of {
		for id := range s.aside {
			if _, out := gone[id]; out {
				ids = append(ids, id)
				delete(s.aside, id)
			}
		}
		for id := range s.begun {
			if _, out := gone[id]; out {
				p.end(message, id)
			}
		}
		p.tidy(message, s)
	}
	return ids
}

// clear leaves everything to the table but what is under way, and returns what
// was set aside.
func (p *parts) clear(underWay func(id string) bool) (ids []string) {
	for message, s := range p.of {
		for id := range s.aside {
			ids = append(ids, id)
		}
		for id := range s.begun {
			if !underWay(id) {
				delete(s.begun, id)
			}
		}
		clear(s.aside)
		s.asked = false
		p.tidy(message, s)
	}
	p.ask = nil
	clear(p.free)
	return ids
}
