package pace

import (
	"slices"
	"time"
)

// Persons counts person-times over sliding windows of up to an hour: a message
// to a group of fifty costs fifty. Streams that share what is allowed name
// themselves, so that what one of them has sent can be counted anew without
// the others.
//
// The zero value has counted nothing. Not safe for concurrent use.
type Persons struct {
	timeline
	calls   []spent  // oldest first
	waiting []waiter // streams that were refused, in the order in which they first were
}

type spent struct {
	at     int64
	n      int
	stream string
}

type waiter struct {
	stream string
	next   int64 // when it was told to ask again
}

const (
	// personsMargin is the default margin of windows: see Config.
	personsMargin = int64(DefaultMargin / time.Microsecond)
	personsKeep   = int64(time.Hour/time.Microsecond) + personsMargin + slack
	// MaxPersons is the largest count of a limit that Take knows: as many calls
	// are remembered, so none that could count is forgotten.
	MaxPersons = 1_000_000
	// patience is how long a stream keeps its place that does not come back when
	// it was told to.
	patience = int64(time.Second / time.Microsecond)
)

// PersonCost is one past message and what it cost.
type PersonCost struct {
	At time.Time
	N  int
}

// Take counts n person-times of a stream and returns now, if all limits have
// room for them; else it counts nothing and says when to ask again. An n below
// 1 needs no room.
//
// Streams that were refused go in the order in which they first were, so that
// many small messages do not keep a large one out for ever; one that does not
// come back within a second of its time loses its place. What is larger than a
// limit goes when nothing else counts against that, so that WeCom and not we
// refuse it. Entries of limits with a count or window of 0 are ignored.
func (p *Persons) Take(now time.Time, stream string, n int, limits []Limit) time.Time {
	if n <= 0 {
		return now
	}
	start := p.moment(now)
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiter) bool { return w.stream != stream && w.next+patience < start })
	place, ahead := slices.IndexFunc(p.waiting, func(w waiter) bool { return w.stream == stream }), p.waiting
	if place >= 0 {
		ahead = p.waiting[:place]
	}
	next := p.earliest(start, n, limits)
	for _, w := range ahead {
		next = max(next, p.after(w, start))
	}
	switch {
	case next <= start:
		if place >= 0 {
			p.waiting = slices.Delete(p.waiting, place, place+1)
		}
		p.add(start, n, stream)
		return now
	case place >= 0:
		p.waiting[place].next = next
	default:
		p.waiting = append(p.waiting, waiter{stream, next})
	}
	return now.Add(time.Duration(next-start) * time.Microsecond)
}

// after is when somebody behind w asks again: at w's time or, when that is
// over and w has not come yet, when w has lost its place.
func (p *Persons) after(w waiter, now int64) int64 {
	if w.next > now {
		return w.next
	}
	return w.next + patience + 1
}

// earliest finds the first moment from start on at which n more have room.
func (p *Persons) earliest(start int64, n int, limits []Limit) int64 {
	at := start
	for _, l := range limits {
		if l.Count <= 0 || l.Window <= 0 {
			continue
		}
		window, room := l.Window.Microseconds()+personsMargin, max(l.Count-n, 0)
		for i, sum := len(p.calls)-1, 0; i >= 0 && p.calls[i].at+window > at; i-- {
			if sum += p.calls[i].n; sum > room {
				at = p.calls[i].at + window
				break
			}
		}
	}
	return at
}

func (p *Persons) add(at int64, n int, stream string) {
	i := len(p.calls)
	for i > 0 && p.calls[i-1].at > at {
		i--
	}
	p.calls = slices.Insert(p.calls, i, spent{at, n, stream})
	old := max(len(p.calls)-MaxPersons, 0)
	for old < len(p.calls) && p.calls[old].at <= at-personsKeep {
		old++
	}
	p.calls = slices.Delete(p.calls, 0, old)
}

// TakeBack undoes a Take of that time, as when WeCom certainly got nothing. It
// does nothing when there was none.
func (p *Persons) TakeBack(at time.Time, stream string, n int) {
	if i := p.find(at, stream, n); i >= 0 {
		p.calls = slices.Delete(p.calls, i, i+1)
	}
}

// PutBack undoes a TakeBack.
func (p *Persons) PutBack(at time.Time, stream string, n int) { p.add(p.moment(at), n, stream) }

// Move says that what was counted at from may have reached WeCom as late as to.
func (p *Persons) Move(from, to time.Time, stream string, n int) {
	if i := p.find(from, stream, n); i >= 0 {
		p.calls = slices.Delete(p.calls, i, i+1)
		p.add(p.moment(to), n, stream)
	}
}

func (p *Persons) find(at time.Time, stream string, n int) int {
	m := p.moment(at)
	return slices.IndexFunc(p.calls, func(c spent) bool { return c.at == m && c.n == n && c.stream == stream })
}

// Restore counts what a stream has sent before, noted by the wall clock, in
// place of what was known of it. Other streams' counts stay.
func (p *Persons) Restore(now time.Time, stream string, sent []PersonCost) {
	p.calls = slices.DeleteFunc(p.calls, func(c spent) bool { return c.stream == stream })
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiter) bool { return w.stream == stream })
	for _, c := range sent {
		if at, fresh := p.before(now, c.At, personsKeep); fresh && c.N > 0 {
			p.add(at, c.N, stream)
		}
	}
}

// Used tells how many person-times of all streams count in each of the limits'
// windows that end at now, in the order of the limits.
func (p *Persons) Used(now time.Time, limits []Limit) []int64 {
	m := p.moment(now)
	out := make([]int64, len(limits))
	for i, l := range limits {
		if l.Window <= 0 {
			continue
		}
		for _, c := range p.calls {
			if c.at > m-l.Window.Microseconds()-personsMargin {
				out[i] += int64(c.n)
			}
		}
	}
	return out
}
