package pace_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/pace"
)

// turns lets n streams with weights compete and tells who had each turn.
func turns(t require.TestingT, s *pace.Shares[int], n int) []int {
	out := make([]int, n)
	for i := range out {
		k, ok := s.First()
		require.True(t, ok)
		s.Took(k)
		out[i] = k
	}
	return out
}

// drift is what the rounding of a turn's cost may add to a share, in turns.
func drift(turns, weight int) float64 { return float64(turns*weight) / (1 << 20) }

// fair checks a window of turns in which the same streams compete: there is one
// amount of time of which everybody has got their weight, give or take a turn.
func fair(t *rapid.T, window []int, weights map[int]int) {
	count := map[int]int{}
	for _, k := range window {
		count[k]++
	}
	least, most := 0.0, float64(len(window))
	for k, w := range weights {
		n, d := float64(count[k]), drift(len(window), w)
		least = max(least, (n-1-d)/float64(w))
		most = min(most, (n+1+d)/float64(w))
	}
	if least > most {
		t.Fatalf("of %d turns with the weights %v the streams had %v", len(window), weights, count)
	}
}

// TestSharesAreFairInEveryWindow lets streams compete, then a new one comes,
// another leaves and comes back: they are fair in any stretch between, and who
// was away gets no credit.
func TestSharesAreFairInEveryWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s pace.Shares[int]
		weights := map[int]int{}
		weight := rapid.Custom(func(t *rapid.T) int {
			return rapid.SampledFrom([]int{1, 1, 2, 3, 5, 10, 99, 100}).Draw(t, "weight")
		})
		join := func(k int) {
			weights[k] = weight.Draw(t, "w")
			s.Join(k, weights[k])
		}
		for k := range rapid.IntRange(1, 6).Draw(t, "streams") {
			join(k)
		}
		for range 3 {
			got := turns(t, &s, rapid.IntRange(1, 800).Draw(t, "turns"))
			fair(t, got, weights)
			for range 5 {
				from := rapid.IntRange(0, len(got)-1).Draw(t, "from")
				fair(t, got[from:rapid.IntRange(from, len(got)).Draw(t, "to")], weights)
			}
			k := rapid.IntRange(0, 8).Draw(t, "who")
			if _, there := weights[k]; there && len(weights) > 1 {
				s.Leave(k)
				delete(weights, k)
			} else if !there {
				join(k)
			}
			if s.Len() != len(weights) {
				t.Fatalf("%d take part, want %d", s.Len(), len(weights))
			}
		}
	})
}

// TestNobodyWaitsLongerThanTheOthersTurns lets streams come and go as they
// like: until a stream's turn comes, each other one has had no more turns than
// its weight has over this one's, and one.
func TestNobodyWaitsLongerThanTheOthersTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s pace.Shares[int]
		weight := map[int]int{} // of those that take part
		waited := map[int]map[int]int{}
		fresh := 100
		join := func(k, w int) {
			s.Join(k, w)
			weight[k], waited[k] = w, map[int]int{}
		}
		took := func(k int) {
			s.Took(k)
			waited[k] = map[int]int{}
			for i, others := range waited {
				if i == k {
					continue
				}
				others[k]++
				if most := weight[k]/weight[i] + 1; others[k] > most {
					t.Fatalf("%d with weight %d had %d turns while %d with weight %d waited", k, weight[k], others[k], i, weight[i])
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				k := rapid.IntRange(0, 5).Draw(t, "who")
				if weight[k] == 0 {
					join(k, []int{1, 1, 3, 20, 100, 2}[k])
				}
			},
			"turns": func(t *rapid.T) {
				for range rapid.IntRange(1, 150).Draw(t, "n") {
					if k, ok := s.First(); ok {
						took(k)
					}
				}
			},
			"empty and refill": func(*rapid.T) { // as a stream does whose messages come one by one
				if k, ok := s.First(); ok {
					took(k)
					s.Leave(k)
					w := weight[k]
					delete(waited, k)
					join(k, w)
				}
			},
			"a flood of new ones": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					join(fresh, 100)
					if k, _ := s.First(); k >= 100 {
						took(k)
					}
					s.Leave(fresh)
					delete(weight, fresh)
					delete(waited, fresh)
					fresh++
				}
			},
			"leave": func(t *rapid.T) {
				k := rapid.IntRange(0, 5).Draw(t, "who")
				s.Leave(k)
				delete(weight, k)
				delete(waited, k)
			},
			"": func(t *rapid.T) {
				if s.Len() != len(weight) {
					t.Fatalf("%d take part, want %d", s.Len(), len(weight))
				}
			},
		})
	})
}

// plainShares is Shares without a heap.
type plainShares struct {
	list  []plainShare
	clock uint64
}

type plainShare struct {
	key    int
	weight uint64
	pass   uint64
}

func (p *plainShares) find(key int) int {
	for i := range p.list {
		if p.list[i].key == key {
			return i
		}
	}
	return -1
}

func (p *plainShares) first() int { // of equals the one that came first
	best := -1
	for i := range p.list {
		if best < 0 || p.list[i].pass < p.list[best].pass {
			best = i
		}
	}
	return best
}

// TestSharesAreThePlainOnes does the same to both, also what nobody does:
// turns out of order, changed weights, weights out of range.
func TestSharesAreThePlainOnes(t *testing.T) {
	const unit = 1 << 20
	rapid.Check(t, func(t *rapid.T) {
		var s pace.Shares[int]
		var p plainShares
		key := rapid.IntRange(0, 7)
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				k, w := key.Draw(t, "key"), rapid.IntRange(-1, 103).Draw(t, "weight")
				s.Join(k, w)
				weight := uint64(min(max(w, 1), pace.MaxWeight)) //nolint:gosec // 1 to 100
				if i := p.find(k); i >= 0 {
					p.list[i].weight = weight
				} else {
					p.list = append(p.list, plainShare{k, weight, p.clock + unit/weight})
				}
			},
			"leave": func(t *rapid.T) {
				k := key.Draw(t, "key")
				s.Leave(k)
				if i := p.find(k); i >= 0 {
					p.list = append(p.list[:i], p.list[i+1:]...)
				}
			},
			"took": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if f := p.first(); f >= 0 && rapid.IntRange(0, 3).Draw(t, "in order") > 0 {
					k = p.list[f].key
				}
				s.Took(k)
				if i := p.find(k); i >= 0 {
					x := &p.list[i]
					p.clock = max(p.clock, x.pass)
					x.pass += unit / x.weight
				}
			},
			"": func(t *rapid.T) {
				k, ok := s.First()
				if i := p.first(); s.Len() != len(p.list) || ok != (i >= 0) || ok && p.list[i].key != k {
					t.Fatalf("first of %d is %d (%v), want number %d of %+v", s.Len(), k, ok, i, p.list)
				}
			},
		})
	})
}
