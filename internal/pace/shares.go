package pace

import "container/heap"

// Shares chooses between streams that all have something to send, each by its
// weight: with weights 3 and 1, three of four turns go to the first. A stream
// that comes back after a rest gets no credit for it, so it cannot flood the
// others. Until its turn comes, each of them has at most one turn and as many
// as its weight is times this one's.
//
// The zero value is empty and ready. Not safe for concurrent use.
type Shares[K comparable] struct {
	heap  shareHeap[K]
	place map[K]*share[K]
	clock uint64 // virtual time: the pass of the stream that went last
	seq   uint64
}

type share[K comparable] struct {
	key    K
	weight int
	pass   uint64
	seq    uint64 // among equals, who came first
	index  int
}

// shareUnit is the virtual time that a turn costs a stream of weight 1.
const shareUnit = 1 << 20

// MaxWeight is the largest weight; larger ones count as it, those below 1 as 1.
const MaxWeight = 100

// Join lets a stream take part; one that does already keeps its place and gets
// the new weight.
func (s *Shares[K]) Join(key K, weight int) {
	weight = min(max(weight, 1), MaxWeight)
	if x := s.place[key]; x != nil {
		x.weight = weight
		return
	}
	if s.place == nil {
		s.place = map[K]*share[K]{}
	}
	s.seq++
	x := &share[K]{key: key, weight: weight, pass: s.clock + shareUnit/uint64(weight), seq: s.seq} //nolint:gosec // 1 to 100
	s.place[key] = x
	heap.Push(&s.heap, x)
}

// Leave takes a stream out; unknown ones are ignored.
func (s *Shares[K]) Leave(key K) {
	if x := s.place[key]; x != nil {
		heap.Remove(&s.heap, x.index)
		delete(s.place, key)
	}
}

// First tells whose turn it is; false when nobody takes part.
func (s *Shares[K]) First() (key K, ok bool) {
	if len(s.heap) == 0 {
		return key, false
	}
	return s.heap[0].key, true
}

// Took charges a turn to a stream.
func (s *Shares[K]) Took(key K) {
	x := s.place[key]
	if x == nil {
		return
	}
	s.clock = max(s.clock, x.pass)
	x.pass += shareUnit / uint64(x.weight) //nolint:gosec // 1 to 100
	heap.Fix(&s.heap, x.index)
}

// Len is how many take part.
func (s *Shares[K]) Len() int { return len(s.heap) }

type shareHeap[K comparable] []*share[K]

func (h shareHeap[K]) Len() int { return len(h) }
func (h shareHeap[K]) Less(i, j int) bool {
	if h[i].pass != h[j].pass {
		return h[i].pass < h[j].pass
	}
	return h[i].seq < h[j].seq
}

func (h shareHeap[K]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is part of heap.Interface.
func (h *shareHeap[K]) Push(x any) {
	s := x.(*share[K])
	s.index = len(*h)
	*h = append(*h, s)
}

// Pop is part of heap.Interface.
func (h *shareHeap[K]) Pop() any {
	old := *h
	n := len(old) - 1
	s := old[n]
	old[n] = nil
	*h = old[:n]
	return s
}
