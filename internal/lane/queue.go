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
	// patience is after how many turns the least urgent that waits goes first,
	// so that a flood of urgent messages starves nobody.
	patience = 32
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
	shares  [domain.PriorityLow + 1]pace.Shares[string]
	n       int
	turns   int
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

// top tells the priority whose turn it is; false when nothing is due.
func (q *queue) top() (domain.Priority, bool) {
	if q.n == 0 {
		return 0, false
	}
	first, last := domain.Priority(-1), domain.Priority(-1)
	for p := range q.shares {
		if q.shares[p].Len() > 0 {
			last = domain.Priority(p)
			if first < 0 {
				first = last
			}
		}
	}
	if q.turns%patience == patience-1 {
		return last, true
	}
	return first, true
}

// pop takes the next delivery; it must not be called on an empty queue.
func (q *queue) pop() domain.Delivery {
	p, _ := q.top()
	q.turns++
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

// undo puts back what was taken last: it goes first again.
func (q *queue) undo(d domain.Delivery) {
	q.push(d, true)
	q.turns--
}

// probe lets the least urgent go next: nothing is lost when it is refused, and
// what stands first has most likely been.
func (q *queue) probe() { q.turns = patience - 1 }

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
	q.shares = [domain.PriorityLow + 1]pace.Shares[string]{}
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
