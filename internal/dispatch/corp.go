package dispatch

import (
	"sync"
	"time"

	"hongyan/internal/pace"
)

// corp counts what the group chats of all apps of a corp share: person-times.
// The lanes of one node count together. What other nodes send is not known
// here, so each has an equal share: what a lane brings along from another node
// counts as ours from then on, and what one took away counts until its window
// is over. A node that joins starts with its share at once; until the windows
// of the others have passed WeCom may see that much too much, which it says
// (45009) and the lane waits for. Safe for concurrent use.
type corp struct {
	mu      sync.Mutex
	nodes   int
	persons pace.Persons
}

// allowance is what an app says of the corp's person-times; 0 means WeCom's.
type allowance struct{ minute, hour int }

// corp returns the counter of a corp.
func (s *Sender) corp(id string) *corp {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.corps[id]
	if c == nil {
		c = &corp{nodes: s.nodes}
		s.corps[id] = c
	}
	return c
}

func (c *corp) limits(a allowance) []pace.Limit { return pace.ChatPersons(a.minute, a.hour, c.nodes) }

func (c *corp) share(nodes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = nodes
}

// take books n person-times of a lane and returns now, or says when to ask
// again.
func (c *corp) take(now time.Time, lane string, n int, a allowance) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.persons.Take(now, lane, n, c.limits(a))
}

func (c *corp) takeBack(at time.Time, lane string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.persons.TakeBack(at, lane, n)
}

func (c *corp) putBack(at time.Time, lane string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.persons.PutBack(at, lane, n)
}

func (c *corp) move(from, to time.Time, lane string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.persons.Move(from, to, lane, n)
}

func (c *corp) restore(now time.Time, lane string, sent []pace.PersonCost) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.persons.Restore(now, lane, sent)
}

func (c *corp) used(now time.Time, a allowance) ([]int64, []pace.Limit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limits := c.limits(a)
	return c.persons.Used(now, limits), limits
}
