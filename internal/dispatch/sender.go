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

// Robots gives the live configuration of robots.
type Robots interface {
	Robot(key string) (domain.Robot, bool)
}

// History tells what was sent before this node owned the lane.
type History interface {
	EachSent(ctx context.Context, lane string, since, until time.Time, most int, tell func(domain.SentRecord)) (more bool, err error)
	SentPersons(ctx context.Context, lane string, since time.Time, tell func(domain.SentRecord)) (int64, error)
}

// Config sets up a Sender.
type Config struct {
	Apps   Apps
	Robots Robots // may be nil: there are none
	// Accounts lists what messages can go through: the keys of apps, and robots
	// under their lanes' names; may be nil.
	Accounts  func() []string
	History   History
	Directory Directory // may be nil: then departments, tags and everybody count for all
	// Chat tells who is in a group chat of an app, each once; known is false
	// when it cannot say: then a message to it waits while soon is true, and
	// counts for everybody, and for as many as a chat can have, otherwise. May be
	// nil: nobody knows.
	Chat   func(app, chat string) (members []string, known, soon bool)
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

	// Set before the first lane is opened:
	hear func(context.Context)                // takes over what other nodes have said of apps
	tell func(laneKey string, now lane.Pause) // tells an account's other lanes that it is out of order or, with the zero pause, in order again
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
	s := &Sender{
		cfg: cfg, clients: map[string]*wecom.Client{}, pacers: map[string]*pacer{}, corps: map[string]*corp{},
		hear: func(context.Context) {}, tell: func(string, lane.Pause) {},
	}
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
	token, err := c.GetToken(ctx, app.CorpID, app.Secret)
	return token, ofApp(err)
}

// ofApp makes a fault of the app of whatever WeCom, or what stands in its place,
// says when it is asked for a token: no message has been shown to it yet, so
// none can be to blame.
func ofApp(err error) error {
	e, ok := errors.AsType[*wecom.Error](err)
	if !ok {
		return err
	}
	switch e.Class {
	case wecom.ClassPayload, wecom.ClassContent, wecom.ClassMedia, wecom.ClassRecipient, wecom.ClassState:
		c := *e
		c.Class = wecom.ClassConfig
		return &c
	default:
		return err
	}
}

// accountOf names what a lane sends through, whose health its answers tell of:
// the key of an app, or a robot's lane.
func accountOf(laneKey string) string {
	switch kind, key, _ := strings.Cut(laneKey, ":"); kind {
	case domain.LaneApp, domain.LaneChat:
		return key
	default:
		return laneKey
	}
}

// lanesOf names the lanes of an account.
func lanesOf(account string) []string {
	if strings.Contains(account, ":") {
		return []string{account}
	}
	return []string{domain.LaneKey(domain.LaneApp, account), domain.LaneKey(domain.LaneChat, account)}
}

// account is what a lane sends through. A robot is shown in the form of an app:
// it has a host, a secret and one limit, and no corp.
func (s *Sender) account(laneKey string) (domain.App, bool) {
	kind, key, _ := strings.Cut(laneKey, ":")
	switch {
	case kind != domain.LaneRobot:
		return s.cfg.Apps.App(key)
	case s.cfg.Robots == nil:
		return domain.App{}, false
	}
	r, ok := s.cfg.Robots.Robot(key)
	return domain.App{
		Key: laneKey, Name: r.Name, BaseURL: r.BaseURL, Proxy: r.Proxy, Secret: r.WebhookKey,
		// One after the other, so that the group reads them in order: at twenty a
		// minute that costs nothing.
		Limits: domain.AppLimits{MemberPerMinute: r.Limits.PerMinute, Concurrency: 1},
	}, ok
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
	p := s.pacer(d.Lane)
	p.begun(d)
	if d.Tries == 1 && d.WaitReason == domain.WaitNone {
		s.cfg.OnFirst(began.Sub(d.Since))
	}
	if d.Expired(began) {
		return s.judge(d, domain.App{Key: accountOf(d.Lane)}, wecom.SendResult{}, errExpired, began)
	}
	app, ok := s.account(d.Lane)
	if !ok {
		return s.judge(d, domain.App{Key: accountOf(d.Lane)}, wecom.SendResult{}, &wecom.Error{
			Op: "send", Class: wecom.ClassConfig, Msg: "the app or robot is not configured any more",
		}, began)
	}
	call := s.call
	if p.kind == domain.LaneRobot {
		call = s.callRobot
	}
	res, err := call(ctx, app, d)
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
			if body, err = s.media.resolve(ctx, d, appShelf(client, token, app)); err != nil {
				if tokens.Again(err) {
					continue
				}
				return wecom.SendResult{}, notSent(err)
			}
		}
		if d.Expired(time.Now()) { // the token or a file took too long
			return wecom.SendResult{}, errExpired
		}
		var res wecom.SendResult
		if s.pacer(d.Lane).kind == domain.LaneChat {
			res, err = client.SendToChat(ctx, token, body)
		} else {
			res, err = client.Send(ctx, token, wire(forAgent(body, app.AgentID), d.DupInterval))
		}
		if tokens.Again(err) {
			continue
		}
		if e, ok := errors.AsType[*wecom.Error](err); ok && e.Class == wecom.ClassMedia && len(d.Media) > 0 && !d.InDoubt() && !reloaded {
			// A media id died early. New ids mean new bytes, which is allowed
			// only while no attempt may have been taken.
			s.media.drop(ctx, d, appShelf(client, token, app))
			reloaded = true
			continue
		}
		return res, err
	}
}

// callRobot makes the calls of one attempt for a robot: its files, then the
// message.
func (s *Sender) callRobot(ctx context.Context, robot domain.App, d *domain.Delivery) (wecom.SendResult, error) {
	client, err := s.Client(robot)
	if err != nil {
		return wecom.SendResult{}, &wecom.Error{Op: "send", Class: wecom.ClassConfig, Msg: "base_url or proxy is not usable"}
	}
	for reloaded := false; ; reloaded = true {
		body := d.Body
		if len(d.Media) > 0 {
			if body, err = s.media.resolve(ctx, d, robotShelf(client, robot)); err != nil {
				return wecom.SendResult{}, notSent(err)
			}
		}
		if d.Expired(time.Now()) {
			return wecom.SendResult{}, errExpired
		}
		res, err := client.SendToRobot(ctx, robot.Secret, body)
		if e, ok := errors.AsType[*wecom.Error](err); ok && e.Class == wecom.ClassMedia && len(d.Media) > 0 && !d.InDoubt() && !reloaded {
			s.media.drop(ctx, d, robotShelf(client, robot))
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
