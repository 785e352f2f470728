package directory

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"hongyan/internal/domain"
)

// ChatSource reads who is in a group chat with an app's token.
type ChatSource interface {
	Chat(ctx context.Context, app, chat string) (members []string, err error)
}

// ChatStore keeps what was read for restarts.
type ChatStore interface {
	PutChat(ctx context.Context, c domain.ChatMembers) error
	ListChats(ctx context.Context, since time.Time, limit int) ([]domain.ChatMembers, error)
}

const (
	chatEvery    = time.Hour       // members are read anew after this time
	chatKeep     = 48 * time.Hour  // they are not believed after it
	chatAgain    = time.Minute     // between two tries
	chatPatience = 3 * time.Second // how long an answer is worth waiting for
	chatTimeout  = 10 * time.Second
	chatReaders  = 4
	maxChats     = 10_000    // that are remembered
	maxSeats     = 1_000_000 // of all of them together
)

// Chats knows who is in the group chats of apps. It answers from memory and
// reads in the background. Safe for concurrent use; make it with NewChats, and
// keep Run going.
type Chats struct {
	source ChatSource
	store  ChatStore
	log    *slog.Logger
	asked  chan chatKey

	mu    sync.Mutex
	rooms map[chatKey]*room
	seats int
}

type chatKey struct{ app, chat string }

// room is one group chat.
type room struct {
	members []string
	readAt  time.Time // zero: never
	triedAt time.Time // when it was last asked for
	reading bool
}

// NewChats makes a Chats that knows nothing; Load fills it. log may be nil.
func NewChats(store ChatStore, log *slog.Logger) *Chats {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Chats{store: store, log: log, asked: make(chan chatKey, 256), rooms: map[chatKey]*room{}}
}

// ReadFrom sets the source. Call it before Run: who reads may need the Chats to
// be made first.
func (c *Chats) ReadFrom(s ChatSource) { c.source = s }

// Changed is called when an app's settings changed: its chats may be others now.
func (c *Chats) Changed(app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, r := range c.rooms {
		if key.app == app {
			c.seats -= len(r.members)
			delete(c.rooms, key)
		}
	}
}

// Load takes over what the store knows.
func (c *Chats) Load(ctx context.Context) error {
	list, err := c.store.ListChats(ctx, time.Now().Add(-chatKeep), maxChats)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range list {
		c.put(chatKey{m.App, m.Chat}, m.Members, m.ReadAt)
	}
	return nil
}

// Members lists who is in an app's group chat, each once in lower case. known
// false means that this is not known; soon says that it will be in a moment.
// The list is shared: the caller must not change it. It never waits.
func (c *Chats) Members(app, chat string) (members []string, known, soon bool) {
	now, key := time.Now(), chatKey{app, chat}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.room(key)
	if r.readAt.IsZero() || now.Sub(r.readAt) >= chatEvery {
		c.ask(key, r, now)
	}
	if !r.readAt.IsZero() && now.Sub(r.readAt) < chatKeep {
		return r.members, true, false
	}
	return nil, false, r.reading && now.Sub(r.triedAt) < chatPatience
}

func (c *Chats) room(key chatKey) *room {
	r := c.rooms[key]
	if r == nil {
		if len(c.rooms) >= maxChats || c.seats >= maxSeats {
			clear(c.rooms) // rare, and costs a reading of those that are in use
			c.seats = 0
		}
		r = &room{}
		c.rooms[key] = r
	}
	return r
}

func (c *Chats) ask(key chatKey, r *room, now time.Time) {
	if r.reading || now.Sub(r.triedAt) < chatAgain {
		return
	}
	select {
	case c.asked <- key:
		r.reading, r.triedAt = true, now
	default: // the readers have more than enough to do
	}
}

// put notes who is in a chat; the caller holds the lock.
func (c *Chats) put(key chatKey, members []string, at time.Time) {
	r := c.room(key)
	list := make([]string, 0, len(members))
	for _, m := range members {
		list = append(list, strings.ToLower(m))
	}
	slices.Sort(list)
	list = slices.Compact(list)
	c.seats += len(list) - len(r.members)
	r.members, r.readAt = list, at
}

// Run reads what is asked for until ctx ends.
func (c *Chats) Run(ctx context.Context) {
	var readers sync.WaitGroup
	for range chatReaders {
		readers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case key := <-c.asked:
					c.read(ctx, key)
				}
			}
		})
	}
	readers.Wait()
}

func (c *Chats) read(ctx context.Context, key chatKey) {
	ctx, cancel := context.WithTimeout(ctx, chatTimeout)
	defer cancel()
	members, err := c.source.Chat(ctx, key.app, key.chat)
	now := time.Now().UTC()
	c.mu.Lock()
	if err == nil {
		c.put(key, members, now)
	}
	r := c.room(key)
	r.reading = false
	if domain.CodeOf(err) == domain.CodeUnavailable { // WeCom was not asked
		r.triedAt = time.Time{}
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	if err == nil {
		err = c.store.PutChat(ctx, domain.ChatMembers{App: key.app, Chat: key.chat, Members: members, ReadAt: now})
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("members of a group chat not read: messages to it count for everybody", "app", key.app, "chat", key.chat, "error", err)
	}
}
