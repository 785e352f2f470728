package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"hongyan/internal/domain"
)

const (
	defaultStreams = 256
	streamBuffer   = 512 // events a slow reader may lag behind before it is cut off
	streamPage     = 500
	pollEvents     = 200 * time.Millisecond
	heartbeat      = 15 * time.Second
	recheckKey     = time.Second      // a key that ends takes its streams along
	streamWrite    = 10 * time.Second // one write to one reader
)

// hub reads the events once for all streams, and only while there are any.
type hub struct {
	events Events
	log    *slog.Logger
	limit  int

	mu     sync.Mutex
	subs   map[*subscriber]struct{}
	seq    int64 // everything up to here was handed out
	closed bool
	stop   context.CancelFunc // of the running feed
	feeds  sync.WaitGroup
}

// subscriber is one open stream. events is closed when it lags or the hub
// ends; the client comes back with Last-Event-ID and misses nothing.
type subscriber struct{ events chan domain.Event }

func newHub(events Events, limit int, log *slog.Logger) *hub {
	if limit <= 0 {
		limit = defaultStreams
	}
	return &hub{events: events, limit: limit, log: log, subs: map[*subscriber]struct{}{}}
}

// join adds a stream and returns the last event that it will not be handed.
func (h *hub) join(ctx context.Context) (*subscriber, int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, 0, domain.Errorf(domain.CodeUnavailable, "the gateway is stopping")
	}
	if len(h.subs) >= h.limit {
		return nil, 0, domain.Errorf(domain.CodeUnavailable, "%d event streams are open already", h.limit)
	}
	if len(h.subs) == 0 {
		seq, err := h.events.LastEventSeq(ctx)
		if err != nil {
			return nil, 0, err
		}
		h.seq = seq
		feed, stop := context.WithCancel(context.Background())
		h.stop = stop
		h.feeds.Go(func() { h.feed(feed) })
	}
	s := &subscriber{events: make(chan domain.Event, streamBuffer)}
	h.subs[s] = struct{}{}
	return s, h.seq, nil
}

func (h *hub) leave(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(s)
}

// drop ends a stream; the last one ends the feed.
func (h *hub) drop(s *subscriber) {
	if _, ok := h.subs[s]; !ok {
		return
	}
	delete(h.subs, s)
	close(s.events)
	if len(h.subs) == 0 {
		h.stop()
	}
}

func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	for s := range h.subs {
		h.drop(s)
	}
	h.mu.Unlock()
	h.feeds.Wait()
}

func (h *hub) feed(ctx context.Context) {
	tick := time.NewTicker(pollEvents)
	defer tick.Stop()
	for {
		h.mu.Lock()
		from := h.seq
		h.mu.Unlock()
		list, err := h.events.EventsAfter(ctx, from, streamPage)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.log.Warn("event stream: reading events", "error", err)
		case len(list) > 0:
			if !h.hand(ctx, list) {
				return
			}
		}
		if len(list) == streamPage {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// hand gives events to every stream; false when this feed has ended meanwhile.
func (h *hub) hand(ctx context.Context, list []domain.Event) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	for _, e := range list {
		for s := range h.subs {
			select {
			case s.events <- e:
			default:
				h.drop(s)
			}
		}
	}
	h.seq = list[len(list)-1].Seq
	return true
}

// stream serves GET /v1/events/stream.
func stream(s *Server, w http.ResponseWriter, r *request) error {
	last, resume, err := lastEventID(r)
	if err != nil {
		return err
	}
	if s.cfg.Events == nil {
		return errNoService
	}
	sub, seq, err := s.hub.join(r.Context())
	if err != nil {
		return err
	}
	defer s.hub.leave(sub)
	if s.cfg.Meter != nil {
		s.cfg.Meter.Streams(1)
		defer s.cfg.Meter.Streams(-1)
	}

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	out := &sse{w: w, c: http.NewResponseController(w), by: r.caller}
	w.WriteHeader(http.StatusOK)
	out.raw("retry: 2000\n\n")
	_ = out.c.SetReadDeadline(time.Time{}) // that of a body, see boundRest; it would end the stream

	for resume && last < seq && out.err == nil {
		if _, err := s.authenticate(r); err != nil {
			return err
		}
		list, err := s.cfg.Events.EventsAfter(r.Context(), last, streamPage)
		if err != nil {
			return err // going on would move the client's Last-Event-ID over the gap
		}
		if len(list) == 0 {
			break // a hole at the end
		}
		for _, e := range list {
			if e.Seq > seq {
				break
			}
			out.event(e)
		}
		last = list[len(list)-1].Seq
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	check := time.NewTicker(recheckKey)
	defer check.Stop()
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return nil
		case <-check.C:
			if _, err := s.authenticate(r); err != nil {
				return err
			}
		case <-beat.C:
			out.raw(": still here\n\n")
		case e, ok := <-sub.events:
			if !ok {
				return nil
			}
			if e.Seq > seq {
				out.event(e)
			}
		}
	}
	return out.err
}

// lastEventID reads where to go on; the query is for clients that cannot set
// the header.
func lastEventID(r *request) (last int64, resume bool, err error) {
	id, from := r.Header.Get("Last-Event-ID"), headerMark+"Last-Event-ID"
	if id == "" {
		id, from = r.query.text("last_event_id"), "?last_event_id"
	}
	if id == "" {
		return 0, false, nil
	}
	last, err = strconv.ParseInt(id, 10, 64)
	if err != nil || last < 0 {
		return 0, false, domain.Invalid(domain.FieldError{
			Pointer: from, Code: "event_id", Message: "is not the id of an event of this stream", Fix: "give the id of the last event seen, or leave it out",
		})
	}
	return last, true, nil
}

// maySee reports whether the caller may see an event. With a limit it sees those
// of messages that are stored.
func maySee(c domain.Caller, e domain.Event) bool {
	return !c.Limited() || e.MessageID != "" && c.AllowsScene(e.Scene) && c.AllowsApp(e.App)
}

// sse writes server-sent events until the first error.
type sse struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	by  domain.Caller
	err error
}

func (o *sse) raw(text string) {
	if o.err != nil {
		return
	}
	_ = o.c.SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer has one
	if _, o.err = o.w.Write([]byte(text)); o.err == nil {
		o.err = o.c.Flush()
	}
}

func (o *sse) event(e domain.Event) {
	if o.err != nil || !maySee(o.by, e) {
		return
	}
	data, err := json.Marshal(eventView(e))
	if err != nil {
		return // an event whose data is not JSON cannot be shown
	}
	o.raw(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Type, data))
}
