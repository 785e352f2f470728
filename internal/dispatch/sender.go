package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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
	SentPersons(ctx context.Context, lane string, since time.Time) (int64, error)
}

// Config sets up a Sender.
type Config struct {
	Apps      Apps
	History   History
	Directory Directory // may be nil: then departments, tags and everybody count for all
	IDs       *domain.IDs
	Tokens    TokenStore
	Share     TokenShare // may be nil
	Media     MediaStore
	Health    HealthStore
	Node      string
	Agent     string // User-Agent
	Logger    *slog.Logger

	OnAttempt func(app, class string, took time.Duration) // for metrics; may be nil
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
}

// New makes a Sender.
func New(cfg Config) *Sender {
	if cfg.OnAttempt == nil {
		cfg.OnAttempt = func(string, string, time.Duration) {}
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
	s := &Sender{cfg: cfg, clients: map[string]*wecom.Client{}, pacers: map[string]*pacer{}}
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

// appOf returns the app key of an app lane.
func appOf(laneKey string) string { return strings.TrimPrefix(laneKey, "app:") }

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

// Send is part of lane.Sender.
func (s *Sender) Send(ctx context.Context, d *domain.Delivery) lane.Done {
	began := time.Now()
	app, ok := s.cfg.Apps.App(appOf(d.Lane))
	if !ok {
		return s.judge(d, domain.App{Key: appOf(d.Lane)}, wecom.SendResult{}, &wecom.Error{
			Op: "send", Class: wecom.ClassConfig, Msg: "the app is not configured any more",
		}, began)
	}
	res, err := s.call(ctx, app, d)
	return s.judge(d, app, res, err, began)
}

// call makes the calls of one attempt: token, media, send; and once more with
// a fresh token when WeCom says that the token is dead.
func (s *Sender) call(ctx context.Context, app domain.App, d *domain.Delivery) (wecom.SendResult, error) {
	client, err := s.Client(app)
	if err != nil {
		return wecom.SendResult{}, &wecom.Error{Op: "send", Class: wecom.ClassConfig, Msg: "base_url or proxy is not usable"}
	}
	dead, fresh := "", false
	for {
		token, err := s.tokens.Get(ctx, app, dead)
		if err != nil {
			return wecom.SendResult{}, notSent(err)
		}
		body := d.Body
		if len(d.Media) > 0 {
			if body, err = s.media.resolve(ctx, client, token, app, d); err != nil {
				if next, again := deadToken(err, token, &fresh); again {
					dead = next
					continue
				}
				return wecom.SendResult{}, notSent(err)
			}
		}
		res, err := client.Send(ctx, token, wire(body, d.DupInterval))
		if next, again := deadToken(err, token, &fresh); again {
			dead = next
			continue
		}
		if e, ok := errors.AsType[*wecom.Error](err); ok && e.Class == wecom.ClassMedia && len(d.Media) > 0 && d.FailedClass != string(wecom.ClassAmbiguous) && d.FailedClass != domain.FailedReleased && !fresh {
			// A media id died early. New ids mean new bytes, which is allowed
			// only while no attempt may have been taken.
			s.media.drop(ctx, app, d)
			fresh = true
			continue
		}
		return res, err
	}
}

// deadToken reports whether the error means that the token must be replaced
// and the call repeated; that happens once per attempt.
func deadToken(err error, token string, fresh *bool) (dead string, again bool) {
	e, ok := errors.AsType[*wecom.Error](err)
	if !ok || *fresh || e.Op == "gettoken" {
		return "", false
	}
	if e.Class == wecom.ClassToken || e.Class == wecom.ClassTokenOrConfig {
		*fresh = true
		return token, true
	}
	return "", false
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

// Recover is part of lane.Sender: the process ended between intent and result.
func (s *Sender) Recover(d *domain.Delivery, now time.Time) lane.Done {
	r := domain.Result{At: now, Counted: true, Event: true}
	r.Attempt = domain.Attempt{Class: string(wecom.ClassAmbiguous), Duration: max(now.Sub(d.StartedAt), 0), Errmsg: "the gateway stopped before the answer was recorded"}
	r.Next, r.WaitReason, r.DueAt = afterAmbiguous(d, now)
	if r.Next == domain.StateQueued && r.WaitReason == domain.WaitBackoff {
		// The stop was the wait, and it keeps its place before what came later:
		// the sooner it is repeated, the surer WeCom still knows it.
		r.DueAt = d.DueAt
	}
	return lane.Done{Result: r}
}

// judge turns an answer into the result of the attempt.
func (s *Sender) judge(d *domain.Delivery, app domain.App, res wecom.SendResult, err error, began time.Time) lane.Done {
	now := time.Now()
	took := now.Sub(began)
	r := domain.Result{At: now, Counted: true, Event: true}
	r.Attempt = domain.Attempt{StartedAt: began, Duration: took, HTTPStatus: http.StatusOK, Class: string(wecom.ClassOK), Errmsg: "ok"}
	var c lane.Control
	if err == nil {
		c = lane.Control{Success: true, Clear: true}
		s.succeed(d, app, res, &r)
	} else {
		var e *wecom.Error
		if !errors.As(err, &e) {
			e = &wecom.Error{Op: "send", Class: wecom.ClassNotSent, Msg: "internal fault before the call"}
			s.cfg.Logger.Error("send failed before the call", "app", app.Key, "error", err)
		}
		r.Attempt.Class, r.Attempt.HTTPStatus = string(e.Class), e.HTTPStatus
		r.Attempt.Errcode, r.Attempt.Errmsg = e.Code, e.Msg
		if e.Msg == "" {
			r.Attempt.Errmsg = e.Error()
		}
		c = s.fail(d, app, e, &r, now)
	}
	s.pacer(d.Lane).landed(d, wecom.Class(r.Attempt.Class), now)
	s.cfg.OnAttempt(app.Key, r.Attempt.Class, took)
	s.cfg.Logger.Info("attempt", "message_id", d.MessageID, "delivery_id", d.ID, "app", app.Key, "n", d.Tries,
		"class", r.Attempt.Class, "errcode", r.Attempt.Errcode, "next", string(r.Next), "duration_ms", took.Milliseconds())
	return lane.Done{Result: r, Control: c}
}

func (s *Sender) succeed(d *domain.Delivery, app domain.App, res wecom.SendResult, r *domain.Result) {
	s.health.OK(app.Key)
	s.pacer(d.Lane).answered()
	r.Attempt.MsgID, r.Attempt.ResponseCode = res.MsgID, res.ResponseCode
	if res.Errmsg != "" {
		r.Attempt.Errmsg = res.Errmsg
	}
	r.Rejected = rejected(res)
	switch {
	case len(r.Rejected) == 0:
		r.Next = domain.StateSent
	case len(r.Rejected) >= d.Recipients:
		// Some tenants answer errcode 0 although nobody was valid.
		r.Next = domain.StateFailed
	default:
		r.Next = domain.StatePartial
	}
}

// rejected lists the recipients that WeCom named as not reached.
func rejected(res wecom.SendResult) []domain.Recipient {
	n := len(res.InvalidUser) + len(res.InvalidParty) + len(res.InvalidTag) + len(res.UnlicensedUser)
	if n == 0 {
		return nil
	}
	out := make([]domain.Recipient, 0, n)
	add := func(ids []string, kind domain.RecipientKind, outcome domain.Outcome, reason string) {
		for _, id := range ids {
			out = append(out, domain.Recipient{Kind: kind, ID: id, Outcome: outcome, Reason: reason})
		}
	}
	add(res.InvalidUser, domain.KindUser, domain.OutcomeInvalid, "invaliduser")
	add(res.InvalidParty, domain.KindDepartment, domain.OutcomeInvalid, "invalidparty")
	add(res.InvalidTag, domain.KindTag, domain.OutcomeInvalid, "invalidtag")
	add(res.UnlicensedUser, domain.KindUser, domain.OutcomeUnlicensed, "unlicenseduser")
	return out
}

// fail applies the retry schedule of the error's class. Where the whole
// lane must stop, the delivery keeps its place and the lane its pause: so a
// resume, or a mended app, moves everything at once.
func (s *Sender) fail(d *domain.Delivery, app domain.App, e *wecom.Error, r *domain.Result, now time.Time) lane.Control {
	p := s.pacer(d.Lane)
	retry := func(reason domain.WaitReason, due time.Time, counted bool) {
		r.Next, r.WaitReason, r.DueAt, r.Counted = domain.StateQueued, reason, due, counted
	}
	switch e.Class {
	case wecom.ClassNotSent:
		until := now.Add(jitter(p.unreachable()))
		retry(domain.WaitBackoff, d.DueAt, false)
		return lane.Control{Pause: lane.Pause{Reason: domain.WaitBackoff, Until: until}}
	case wecom.ClassAmbiguous:
		r.Next, r.WaitReason, r.DueAt = afterAmbiguous(d, now)
		return lane.Control{Narrow: true}
	case wecom.ClassTransient:
		if e.Code == 45033 {
			retry(domain.WaitWeComLimit, now.Add(jitter(time.Second)), false)
			return lane.Control{Narrow: true}
		}
		retry(domain.WaitBackoff, now.Add(step(transientSteps, d.Attempts)), true)
		return lane.Control{Narrow: true}
	case wecom.ClassQuota:
		until := quotaPause(p.overQuota(), now)
		retry(domain.WaitWeComLimit, d.DueAt, false)
		return lane.Control{Pause: lane.Pause{Reason: domain.WaitWeComLimit, Until: until}}
	case wecom.ClassToken, wecom.ClassTokenOrConfig, wecom.ClassConfig, wecom.ClassBotSession:
		until := now.Add(probeEvery)
		retry(domain.WaitAppBlocked, d.DueAt, false)
		s.health.Block(app.Key, e, now, until)
		return lane.Control{Pause: lane.Pause{Reason: domain.WaitAppBlocked, Until: until}}
	case wecom.ClassRecipient:
		r.Next = domain.StateFailed
		if e.Result != nil {
			r.Rejected = rejected(*e.Result)
		}
		s.pacer(d.Lane).answered()
		s.health.OK(app.Key)
		return lane.Control{Success: true, Clear: true}
	default: // payload, content, media, state: permanent for this message
		r.Next = domain.StateFailed
		s.pacer(d.Lane).answered()
		s.health.OK(app.Key)
		return lane.Control{Success: true, Clear: true}
	}
}
