package dispatch

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hongyan/internal/domain"
	"hongyan/internal/lane"
	"hongyan/wecom"
)

// Apps gives the live configuration of apps.
type Apps interface {
	App(key string) (domain.App, bool)
}

// History tells what was sent before this node owned the lane.
type History interface {
	EachSent(ctx context.Context, lane string, since time.Time, tell func(domain.SentRecord)) (more bool, err error)
	SentPersons(ctx context.Context, lane string, since time.Time, tell func(domain.SentRecord)) (int64, error)
}

// Config sets up a Sender.
type Config struct {
	Apps      Apps
	History   History
	Directory Directory // may be nil: then departments, tags and everybody count for all
	// Chat tells who is in a group chat of an app, each once; known is false
	// when it cannot say: then a message to it counts for everybody, and for as
	// many as a chat can have. May be nil: nobody knows.
	Chat   func(app, chat string) (members []string, known bool)
	IDs    *domain.IDs
	Tokens TokenStore
	Share  TokenShare // may be nil
	Media  MediaStore
	Health HealthStore
	Node   string
	Agent  string // User-Agent
	Logger *slog.Logger

	OnAttempt func(app, class string, took time.Duration) // for metrics; may be nil
	OnFirst   func(wait time.Duration)                    // from accept to the call, where nothing held it back; may be nil
	OnToken   func(app, result string)                    // may be nil
	OnQuota   func(app string, used, allowed int64)       // 80 % of the day's quota is used; may be nil
	// Transport replaces the HTTP client of an app, for tests; may be nil.
	Transport func(app domain.App) (*http.Client, error)
}

// Sender sends the deliveries of app lanes. Safe for concurrent use.
type Sender struct {
	cfg    Config
	tokens *Tokens
	media  *mediaCache
	health *Health

	mu      sync.RWMutex
	clients map[string]*wecom.Client // by base URL and proxy
	pacers  map[string]*pacer        // by lane
	corps   map[string]*corp         // by corp id
	nodes   int                      // live ones; 0: not known yet
}

// New makes a Sender.
func New(cfg Config) *Sender {
	if cfg.OnAttempt == nil {
		cfg.OnAttempt = func(string, string, time.Duration) {}
	}
	if cfg.OnFirst == nil {
		cfg.OnFirst = func(time.Duration) {}
	}
	if cfg.OnQuota == nil {
		cfg.OnQuota = func(string, int64, int64) {}
	}
	if cfg.Transport == nil {
		cfg.Transport = func(app domain.App) (*http.Client, error) {
			return wecom.NewHTTPClient(wecom.TransportOptions{Proxy: app.Proxy})
		}
	}
	if cfg.IDs == nil {
		cfg.IDs = &domain.IDs{}
	}
	s := &Sender{cfg: cfg, clients: map[string]*wecom.Client{}, pacers: map[string]*pacer{}, corps: map[string]*corp{}}
	s.tokens = NewTokens(cfg.Tokens, cfg.Share, s.fetchToken, cfg.Node, cfg.Logger, cfg.OnToken)
	s.media = &mediaCache{store: cfg.Media, flights: map[string]flight{}}
	s.health = NewHealth(cfg.Health, cfg.Logger)
	return s
}

// Health tells the health of apps.
func (s *Sender) Health() *Health { return s.health }

// Tokens gives the token source, for calls outside the lanes.
func (s *Sender) Tokens() *Tokens { return s.tokens }

// Client returns the WeCom client for an app's base URL and proxy.
func (s *Sender) Client(app domain.App) (*wecom.Client, error) {
	key := app.BaseURL + "|" + app.Proxy
	s.mu.RLock()
	c := s.clients[key]
	s.mu.RUnlock()
	if c != nil {
		return c, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hc, err := s.cfg.Transport(app)
	if err != nil {
		return nil, err
	}
	c, err = wecom.NewClient(wecom.Options{BaseURL: app.BaseURL, HTTP: hc, UserAgent: s.cfg.Agent})
	if err != nil {
		return nil, err
	}
	if len(s.clients) > 1000 { // a bound, not a cache policy: apps are few
		clear(s.clients)
	}
	s.clients[key] = c
	return c, nil
}

func (s *Sender) fetchToken(ctx context.Context, app domain.App) (wecom.Token, error) {
	c, err := s.Client(app)
	if err != nil {
		return wecom.Token{}, err
	}
	return c.GetToken(ctx, app.CorpID, app.Secret)
}

// appOf returns the key of the app through which a lane sends; empty when it
// sends through none.
func appOf(laneKey string) string {
	switch kind, key, _ := strings.Cut(laneKey, ":"); kind {
	case domain.LaneApp, domain.LaneChat:
		return key
	default:
		return ""
	}
}

// lanesOf names the lanes of an app.
func lanesOf(app string) []string {
	return []string{domain.LaneKey(domain.LaneApp, app), domain.LaneKey(domain.LaneChat, app)}
}

// wire is what goes to WeCom: the frozen body with the duplicate check that
// was decided before the first attempt.
func wire(body []byte, dupInterval int) []byte {
	if dupInterval <= 0 || len(body) < 2 {
		return body
	}
	out := make([]byte, 0, len(body)+72)
	out = append(out, body[:len(body)-1]...)
	out = append(out, `,"enable_duplicate_check":1,"duplicate_check_interval":`...)
	out = strconv.AppendInt(out, int64(dupInterval), 10)
	return append(out, '}')
}

// forAgent is a body of ours with the agent id that the app has now: who waits
// outlives its correction, and WeCom takes a token of one agent with the id of
// another for a fault of the whole app.
func forAgent(body []byte, id int64) []byte {
	if isFor(body, id) {
		return body
	}
	from, to := agentIn(body)
	return slices.Concat(body[:from], strconv.AppendInt(nil, id, 10), body[to:])
}

// isFor reports whether a body has that agent id, or none.
func isFor(body []byte, id int64) bool {
	from, to := agentIn(body)
	var room [20]byte
	return from == to || bytes.Equal(body[from:to], strconv.AppendInt(room[:0], id, 10))
}

// agentIn says where the digits of the agent id stand in a body of ours; nowhere
// in one of a group chat.
func agentIn(body []byte) (from, to int) {
	const field = `,"agentid":` // before the content, and in a string its quotes would be escaped
	at := bytes.Index(body, []byte(field))
	if at < 0 {
		return 0, 0
	}
	from = at + len(field)
	for to = from; to < len(body) && body[to] >= '0' && body[to] <= '9'; to++ {
	}
	return from, to
}

// Send is part of lane.Sender.
func (s *Sender) Send(ctx context.Context, d *domain.Delivery) lane.Done {
	began := time.Now()
	s.pacer(d.Lane).begun(d)
	if d.Tries == 1 && d.WaitReason == domain.WaitNone {
		s.cfg.OnFirst(began.Sub(d.Since))
	}
	if d.Expired(began) {
		return s.judge(d, domain.App{Key: appOf(d.Lane)}, wecom.SendResult{}, errExpired, began)
	}
	app, ok := s.cfg.Apps.App(appOf(d.Lane))
	if !ok {
		return s.judge(d, domain.App{Key: appOf(d.Lane)}, wecom.SendResult{}, &wecom.Error{
			Op: "send", Class: wecom.ClassConfig, Msg: "the app is not configured any more",
		}, began)
	}
	res, err := s.call(ctx, app, d)
	return s.judge(d, app, res, err, began)
}

// errExpired is the end of an attempt whose time ran out before the call.
var errExpired = &wecom.Error{Op: "send", Class: wecom.ClassNotSent, Msg: "expired before the call"}

// call makes the calls of one attempt: token, media, send; and again with
// another token when WeCom says that the token is dead.
func (s *Sender) call(ctx context.Context, app domain.App, d *domain.Delivery) (wecom.SendResult, error) {
	client, err := s.Client(app)
	if err != nil {
		return wecom.SendResult{}, &wecom.Error{Op: "send", Class: wecom.ClassConfig, Msg: "base_url or proxy is not usable"}
	}
	tokens, reloaded := s.tokens.Of(app), false
	for {
		token, err := tokens.Get(ctx)
		if err != nil {
			return wecom.SendResult{}, notSent(err)
		}
		body := d.Body
		if len(d.Media) > 0 {
			if body, err = s.media.resolve(ctx, client, token, app, d); err != nil {
				if tokens.Again(err) {
					continue
				}
				return wecom.SendResult{}, notSent(err)
			}
		}
		if d.Expired(time.Now()) { // the token or a file took too long
			return wecom.SendResult{}, errExpired
		}
		if p := s.pacer(d.Lane); p.kind == domain.LaneApp {
			body = forAgent(body, app.AgentID)
		}
		res, err := client.Send(ctx, token, wire(body, d.DupInterval))
		if tokens.Again(err) {
			continue
		}
		if e, ok := errors.AsType[*wecom.Error](err); ok && e.Class == wecom.ClassMedia && len(d.Media) > 0 && !d.InDoubt() && !reloaded {
			// A media id died early. New ids mean new bytes, which is allowed
			// only while no attempt may have been taken.
			s.media.drop(ctx, app, d)
			reloaded = true
			continue
		}
		return res, err
	}
}

// notSent marks trouble before the message call: WeCom cannot have it.
func notSent(err error) error {
	e, ok := errors.AsType[*wecom.Error](err)
	if !ok {
		return &wecom.Error{Op: "media", Class: wecom.ClassNotSent, Err: err}
	}
	if e.Class == wecom.ClassAmbiguous {
		c := *e
		c.Class = wecom.ClassNotSent
		return &c
	}
	return e
}
