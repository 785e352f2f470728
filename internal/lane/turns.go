package lane

import "hongyan/internal/domain"

const (
	// patience is how many of a priority go, one after the other, while less
	// urgent ones wait. Then one of these goes, so that a flood of urgent messages
	// starves nobody.
	patience = 31
	// endurance is by how many turns a priority is passed over, whoever had them,
	// until it goes after a single one that is more urgent.
	endurance = 4 * patience
)

// turns says which priority goes next: the most urgent, but for one turn after
// patience of its own in which something less urgent was passed over. Then the
// priority goes that was passed over longest. So whoever is most urgent waits for
// one less urgent at most, and only when one of its like has gone just before.
type turns struct {
	passed [priorities]int // how many of each have gone since something less urgent has
	missed [priorities]int // by how many turns in a row each was passed over
	least  bool            // the least urgent goes next
}

const priorities = domain.PriorityLow + 1

// waiting counts by priority those who could go.
type waiting [priorities]int

// next must not be called when nobody waits.
func (t *turns) next(w *waiting) domain.Priority {
	first, longest, last := domain.Priority(-1), domain.Priority(-1), domain.Priority(-1)
	for p := range priorities {
		switch {
		case w[p] == 0:
			continue
		case first < 0:
			first = p
		case longest < 0 || t.missed[p] >= t.missed[longest]:
			longest = p
		}
		last = p
	}
	switch {
	case t.least:
		return last
	case longest >= 0 && (t.passed[first] >= patience || t.passed[first] > 0 && t.missed[longest] >= endurance):
		return longest
	default:
		return first
	}
}

// took notes that p has its turn.
func (t *turns) took(p domain.Priority, w *waiting) {
	t.least = false
	behind := false
	for o := range priorities {
		switch {
		case o < p:
			t.passed[o] = 0
		case o == p || w[o] == 0:
			t.missed[o] = 0
		default:
			behind = true
			t.missed[o]++
		}
	}
	if t.passed[p]++; !behind {
		t.passed[p] = 0
	}
}
