package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	maxWatchers  = 64
	streamBatch  = 100                   // entries per turn; the newest win
	streamPause  = 60 * time.Millisecond // between turns, so that a flood costs little
	streamBeat   = 15 * time.Second
	streamRecent = 40 // calls in the table
)

// watcher is one open page; its channel says that something changed.
type watcher struct{ changed chan struct{} }

// wake tells every page. The caller holds the lock.
func (s *Server) wake() {
	for w := range s.watchers {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

func (s *Server) watch() *watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.watchers) >= maxWatchers {
		return nil
	}
	w := &watcher{changed: make(chan struct{}, 1)}
	w.changed <- struct{}{}
	s.watchers[w] = struct{}{}
	return w
}

func (s *Server) unwatch(w *watcher) {
	s.mu.Lock()
	delete(s.watchers, w)
	s.mu.Unlock()
}

// stream is the live feed of one phone: event "entry" per message of the
// member, the robot or the chat, event "state" with counters, calls, faults and last messages.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	me := s.watch()
	if me == nil {
		http.Error(w, "too many open pages", http.StatusServiceUnavailable)
		return
	}
	defer s.unwatch(me)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	where := placeOf(r.URL.Query(), "member")
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	var last int64
	for {
		select {
		case <-r.Context().Done():
			return
		case <-s.done:
			return
		case <-beat.C:
			if _, err := fmt.Fprint(w, ": beat\n\n"); err != nil || out.Flush() != nil {
				return
			}
			continue
		case <-me.changed:
		}
		text, upto := s.news(where, last)
		last = upto
		if _, err := w.Write(text); err != nil || out.Flush() != nil {
			return
		}
		s.pause(streamPause)
	}
}

// news renders what changed since the ledger id last. After a reset the ids
// begin anew, and so does the page.
func (s *Server) news(where place, last int64) ([]byte, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytesBuffer
	if s.ledger.last < last {
		last = 0
		b.WriteString("event: clear\ndata: {}\n\n")
	}
	if where != (place{}) {
		for _, e := range s.ledger.after(last, where, streamBatch) {
			fmt.Fprintf(&b, "event: entry\nid: %d\ndata: %s\n\n", e.ID, encode(e))
		}
	}
	calls := s.calls.calls
	state := struct {
		Counts Counts          `json:"counts"`
		Calls  []Call          `json:"calls"`
		Faults []Fault         `json:"faults"`
		Groups []group         `json:"groups"`
		Latest map[string]note `json:"latest"`
		Now    time.Time       `json:"now"`
	}{s.countsLocked(), calls[max(0, len(calls)-streamRecent):], s.standingFaults(), s.groupList(), s.latest(), s.Now()}
	fmt.Fprintf(&b, "event: state\ndata: %s\n\n", encode(state))
	return b.Bytes(), s.ledger.last
}

// note is the line under a member's or a group's name.
type note struct {
	Entry int64     `json:"entry"`
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"`
	Text  string    `json:"text"`
}

// group is a robot's group or a chat in the list of the page.
type group struct {
	Key     string `json:"key"` // "robot:NAME" or "chat:ID"
	Name    string `json:"name"`
	Members int    `json:"members,omitempty"` // not known of a robot's group
}

const maxGroups = 50 // in the page's list; the newest chats

func (s *Server) groupList() []group {
	out := []group{}
	for _, r := range s.robots[:min(len(s.robots), maxGroups)] {
		out = append(out, group{Key: "robot:" + r.Name, Name: r.Name})
	}
	for _, c := range s.chats[max(0, len(s.chats)-maxGroups):] {
		out = append(out, group{Key: "chat:" + c.ID, Name: orText(c.Name, c.ID), Members: len(c.Users)})
	}
	return out
}

// latest finds the newest message of each directory member and group among the
// newest entries of the ledger.
func (s *Server) latest() map[string]note {
	out := map[string]note{}
	n := len(s.ledger.entries)
	for i := n - 1; i >= max(0, n-500) && len(out) < len(s.dir.order)+len(s.robots)+len(s.chats); i-- {
		e := &s.ledger.entries[i]
		if e.Robot != "" || e.Chat != "" {
			key := "chat:" + e.Chat
			if e.Robot != "" {
				key = "robot:" + e.Robot
			}
			if _, have := out[key]; !have {
				out[key] = note{Entry: e.ID, At: e.At, Kind: e.Kind, Text: e.headline()}
			}
			continue
		}
		for _, u := range e.Users {
			key := strings.ToLower(u)
			m, known := s.dir.members[key]
			if _, have := out[m.ID]; known && !have {
				out[m.ID] = note{Entry: e.ID, At: e.At, Kind: e.Kind, Text: e.headline()}
			}
		}
	}
	return out
}

// headline is the first words of a message, at most 40 characters.
func (e *Entry) headline() string {
	var c struct {
		Content   string `json:"content"`
		Title     string `json:"title"`
		Filename  string `json:"filename"`
		MainTitle struct {
			Title string `json:"title"`
		} `json:"main_title"`
		Articles []struct {
			Title string `json:"title"`
		} `json:"articles"`
	}
	_ = read(e.Content, &c)
	text := ""
	for _, t := range []string{c.Title, c.MainTitle.Title, c.Content, c.Filename} {
		if text == "" {
			text = t
		}
	}
	if text == "" && len(c.Articles) > 0 {
		text = c.Articles[0].Title
	}
	text = strings.Join(strings.Fields(text), " ")
	runes := []rune(text)
	if len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return text
}
