package directory

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"hongyan/internal/domain"
)

const (
	format      = 1        // of packed snapshots; another one is not read
	maxUnpacked = 64 << 20 // bytes of an unpacked snapshot
	maxCached   = 1 << 20  // userids in all remembered expansions of a snapshot
	cacheCost   = 64       // what an expansion costs besides its userids
)

// snapshot is what an app could read of WeCom's directory. It is built by one
// goroutine and then only read; the expansions that it remembers have their
// own lock. Names are lower-cased, as WeCom compares them.
type snapshot struct {
	Format      int                   `json:"format"`
	Identity    string                `json:"identity"`
	FetchedAt   time.Time             `json:"fetched_at"`
	UsedAt      time.Time             `json:"used_at"`
	Limited     bool                  `json:"limited"` // something was left out because of a bound
	Names       []string              `json:"names"`
	Range       group                 `json:"range"` // the app's visible range
	Departments map[int64]*department `json:"departments"`
	Tags        map[int64]*group      `json:"tags"`

	children map[int64][]int64 // by department

	mu     sync.Mutex
	cache  map[string]expansion
	cached int
}

// department is a node of the tree with its own members as places in Names.
// Unread ones are known to exist or to be asked for, and no more.
type department struct {
	Parent int64   `json:"parent"`
	Read   bool    `json:"read"`
	Users  []int32 `json:"users"`
}

// group is a tag, or a visible range: members, and everybody in departments
// and tags. Only a range has tags.
type group struct {
	Read        bool    `json:"read"`
	Users       []int32 `json:"users"`
	Departments []int64 `json:"departments"`
	Tags        []int64 `json:"tags,omitempty"`
}

// expansion is who is meant. The list is shared and must not be changed.
type expansion struct {
	users []string
	known bool
}

// identity tells whose directory a snapshot is. Another corp, app or server
// behind the same key has another one.
func identity(a domain.App) string {
	return a.CorpID + "|" + strconv.FormatInt(a.AgentID, 10) + "|" + a.BaseURL
}

// seal ends the building.
func (s *snapshot) seal() *snapshot {
	s.children, s.cache, s.cached = map[int64][]int64{}, map[string]expansion{}, 0
	for id, d := range s.Departments {
		if d.Parent != 0 {
			s.children[d.Parent] = append(s.children[d.Parent], id)
		}
	}
	for _, c := range s.children {
		slices.Sort(c)
	}
	return s
}

// members expands what a message names, once for each combination. Nobody
// named with all is everybody.
func (s *snapshot) members(departments, tags []string, all bool) expansion {
	if all {
		departments, tags = nil, nil
	}
	key := make([]byte, 0, 64)
	for _, id := range departments {
		key = strconv.AppendInt(append(key, 'd'), number(id), 10)
	}
	for _, id := range tags {
		key = strconv.AppendInt(append(key, 't'), number(id), 10)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.cache[string(key)]; ok {
		return e
	}
	w := &walk{s: s, seen: make([]bool, len(s.Names)), visited: map[int64]bool{}, known: true}
	if all {
		w.group(&s.Range)
		w.known = w.known && !s.Limited
	}
	for _, id := range departments {
		w.department(number(id))
	}
	for _, id := range tags {
		w.group(s.Tags[number(id)])
	}
	e := expansion{known: w.known}
	if e.known { // a part would only tempt
		e.users = w.users
	}
	cost := len(e.users) + len(key)/16 + cacheCost
	if s.cached+cost > maxCached {
		clear(s.cache)
		s.cached = 0
	}
	s.cache[string(key)] = e
	s.cached += cost
	return e
}

// number reads a department's or tag's id; 0 is none.
func number(id string) int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// walk collects members, each once, and notes whether it met a gap.
type walk struct {
	s       *snapshot
	seen    []bool
	visited map[int64]bool
	users   []string
	known   bool
}

func (w *walk) add(places []int32) {
	for _, p := range places {
		if !w.seen[p] {
			w.seen[p] = true
			w.users = append(w.users, w.s.Names[p])
		}
	}
}

// department adds everybody in and below a department. A cycle ends, because
// none is visited twice.
func (w *walk) department(id int64) {
	for open := []int64{id}; len(open) > 0; {
		id, open = open[len(open)-1], open[:len(open)-1]
		if w.visited[id] {
			continue
		}
		w.visited[id] = true
		d := w.s.Departments[id]
		if d == nil || !d.Read {
			w.known = false
			return
		}
		w.add(d.Users)
		open = append(open, w.s.children[id]...)
	}
}

func (w *walk) group(g *group) {
	if g == nil || !g.Read {
		w.known = false
		return
	}
	w.add(g.Users)
	for _, id := range g.Departments {
		w.department(id)
	}
	for _, id := range g.Tags {
		w.group(w.s.Tags[id])
	}
}

// pack makes the stored form.
func (s *snapshot) pack() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(s); err != nil {
		return nil, fmt.Errorf("pack a directory: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack a directory: %w", err)
	}
	return b.Bytes(), nil
}

// unpack is the way back. It trusts nothing that would make a walk panic.
func unpack(data []byte) (*snapshot, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("unpack a directory: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("unpack a directory: %w", err)
	}
	if len(text) > maxUnpacked {
		return nil, errors.New("unpack a directory: it is too large")
	}
	s := &snapshot{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("unpack a directory: %w", err)
	}
	if s.Format != format {
		return nil, fmt.Errorf("unpack a directory: format %d is not known", s.Format)
	}
	bad := func(places []int32) bool {
		return slices.ContainsFunc(places, func(p int32) bool { return p < 0 || int(p) >= len(s.Names) })
	}
	damaged := bad(s.Range.Users)
	for _, d := range s.Departments {
		damaged = damaged || d == nil || bad(d.Users)
	}
	for id, g := range s.Tags {
		damaged = damaged || g == nil || bad(g.Users) || len(g.Tags) > 0 || id == 0
	}
	if damaged {
		return nil, errors.New("unpack a directory: it is damaged")
	}
	return s.seal(), nil
}
