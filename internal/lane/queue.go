package lane

import (
	"container/heap"
	"slices"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/pace"
)

const (
	streamLoad = 256 // rows taken from the table at once, per stream
	streamLow  = 32  // in memory below which more are taken
)

type streamKey struct {
	priority domain.Priority
	scene    string
}

// stream is what is due and shares a priority and a scene, oldest first. more
// says that the table may have due rows that are not here: then nothing is
// added but from the table, so that order holds.
type stream struct {
	key   streamKey
	list  []domain.Delivery
	more  bool
	again bool            // something came in while the table was read
	after domain.DueAfter // the last row taken from the table
}

// queue holds the deliveries that are due. Not safe for concurrent use.
type queue struct {
	weight  func(scene string) int
	streams map[streamKey]*stream
	shares  [priorities]pace.Shares[string]
	n       int
}

func newQueue(weight func(scene string) int) *queue {
	return &queue{weight: weight, streams: map[streamKey]*stream{}}
}

func (q *queue) stream(k streamKey) *stream {
	s := q.streams[k]
	if s == nil {
		s = &stream{key: k}
		q.streams[k] = s
	}
	return s
}

// push adds a delivery behind what is due; front puts it before, for those
// that had their turn.
func (q *queue) push(d domain.Delivery, front bool) {
	s := q.stream(streamKey{d.Priority, d.Scene})
	if front {
		s.list = slices.Insert(s.list, 0, d)
	} else {
		s.list = append(s.list, d)
	}
	q.n++
	if len(s.list) == 1 {
		q.shares[d.Priority].Join(d.Scene, q.weight(d.Scene))
	}
}

// waiting adds how many scenes have something due, by priority.
func (q *queue) waiting(w *waiting) {
	for p := range q.shares {
		w[p] += q.shares[p].Len()
	}
}

// pop takes the next delivery of a priority that has one.
func (q *queue) pop(p domain.Priority) domain.Delivery {
	scene, _ := q.shares[p].First()
	s := q.streams[streamKey{p, scene}]
	d := s.list[0]
	s.list[0] = domain.Delivery{}
	s.list = s.list[1:]
	q.n--
	q.shares[p].Took(scene)
	q.emptied(s)
	return d
}

func (q *queue) emptied(s *stream) {
	if len(s.list) > 0 {
		return
	}
	q.shares[s.key.priority].Leave(s.key.scene)
	s.list = nil
	if !s.more {
		delete(q.streams, s.key)
	}
}

// remove takes deliveries out that keep says no to.
func (q *queue) remove(keep func(d *domain.Delivery) bool) {
	for _, s := range q.streams {
		before := len(s.list)
		s.list = slices.DeleteFunc(s.list, func(d domain.Delivery) bool { return !keep(&d) })
		if n := before - len(s.list); n > 0 {
			q.n -= n
			q.emptied(s)
		}
	}
}

// hungry lists the streams that want rows from the table.
func (q *queue) hungry() []*stream {
	var out []*stream
	for _, s := range q.streams {
		if s.more && len(s.list) < streamLow {
			out = append(out, s)
		}
	}
	return out
}

// spilled reports whether the table has due rows that are not here.
func (q *queue) spilled() bool {
	for _, s := range q.streams {
		if s.more {
			return true
		}
	}
	return false
}

// clear empties the queue; what was in it is still in the table.
func (q *queue) clear() {
	q.streams = map[streamKey]*stream{}
	q.shares = [priorities]pace.Shares[string]{}
	q.n = 0
}

// later holds deliveries whose next try has a known time, the earliest first.
type later []domain.Delivery

func (h later) Len() int           { return len(h) }
func (h later) Less(i, j int) bool { return h[i].DueAt.Before(h[j].DueAt) }
func (h later) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *later) Push(x any) { *h = append(*h, x.(domain.Delivery)) }

// Pop is part of heap.Interface.
func (h *later) Pop() any {
	old := *h
	n := len(old) - 1
	d := old[n]
	old[n] = domain.Delivery{}
	*h = old[:n]
	return d
}

func (h *later) add(d domain.Delivery) { heap.Push(h, d) }

// due takes the next one whose time has come.
func (h *later) due(now time.Time) (domain.Delivery, bool) {
	if len(*h) == 0 || (*h)[0].DueAt.After(now) {
		return domain.Delivery{}, false
	}
	return heap.Pop(h).(domain.Delivery), true
}

func (h *later) drop(id string) bool {
	for i := range *h {
		if (*h)[i].ID == id {
			heap.Remove(h, i)
			return true
		}
	}
	return false
}
