package lane

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/domain"
)

// Whoever is most urgent waits for one less urgent at most, after patience of its
// like, or one when somebody has waited very long; and nobody is passed over for
// longer.
func TestTurns(t *testing.T) {
	longest := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's dice
		var w waiting
		var ts turns
		var since [priorities]int // turns for which each has waited
		var alike [priorities]int // of each, since the last less urgent one
		var load [priorities]int
		for p := range load {
			load[p] = r.IntN(40) + 1
		}
		for range 5000 {
			for p := range w {
				if r.IntN(load[p]) == 0 {
					w[p] += r.IntN(2 * load[p])
				}
			}
			if w == (waiting{}) {
				continue
			}
			first := domain.Priority(0)
			for w[first] == 0 {
				first++
			}
			p := ts.next(&w)
			require.Positive(t, w[p])
			ts.took(p, &w)
			require.True(t, p == first || alike[first] >= patience || alike[first] > 0 && since[p] >= endurance, "seed %d", seed)
			alike[p]++
			for o := range p {
				alike[o] = 0
			}
			for o := range since {
				if since[o]++; domain.Priority(o) == p || w[o] == 0 {
					since[o] = 0
				}
				longest = max(longest, since[o])
			}
			w[p]--
		}
	}
	t.Log("longest wait", longest)
	require.LessOrEqual(t, longest, endurance+4, "nobody is passed over by more")
}

// A single urgent one goes next, however many others wait and in which turn, and
// a probe is the least urgent once.
func TestTurnsOfTheUrgent(t *testing.T) {
	var ts turns
	for range 1000 {
		w := waiting{domain.PriorityNormal: 5, domain.PriorityLow: 5}
		ts.took(ts.next(&w), &w)
		w[domain.PriorityUrgent] = 1
		require.Equal(t, domain.PriorityUrgent, ts.next(&w))
	}
	ts.least = true
	w := waiting{1, 1, 1, 1}
	require.Equal(t, domain.PriorityLow, ts.next(&w))
	ts.took(domain.PriorityLow, &w)
	require.Equal(t, domain.PriorityUrgent, ts.next(&w))
}
